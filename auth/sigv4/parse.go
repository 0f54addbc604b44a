package sigv4

import (
	"slices"
	"strings"
	"time"

	"github.com/spillway-dev/spillway/auth"
)

const (
	algorithm = "AWS4-HMAC-SHA256"

	maxAuthorization = 4 << 10 // bytes; real ones have a few hundred
	maxSignedHeaders = 64
)

// authorization is a parsed Authorization header.
type authorization struct {
	AccessKeyID   string
	Date          string // yyyymmdd of the credential scope
	Region        string
	Service       string
	SignedHeaders []string // lower case, strictly ascending
	Signature     string   // 64 lower-case hex digits
}

func incomplete(message string) error {
	return auth.Refuse(auth.TypeIncompleteSignature, message)
}

// parse reads an Authorization header value. Its errors repeat nothing of the value.
func parse(value string) (authorization, error) {
	if len(value) > maxAuthorization {
		return authorization{}, incomplete("the Authorization header is longer than 4 KiB")
	}
	rest, found := strings.CutPrefix(value, algorithm+" ")
	if !found {
		return authorization{}, incomplete("the Authorization header must begin with " + algorithm + " and a space")
	}
	fields, err := splitFields(rest)
	if err != nil {
		return authorization{}, err
	}
	a := authorization{Signature: fields["Signature"]}
	if err := a.scope(fields["Credential"]); err != nil {
		return authorization{}, err
	}
	if err := a.headers(fields["SignedHeaders"]); err != nil {
		return authorization{}, err
	}
	if len(a.Signature) != 64 || strings.Trim(a.Signature, "0123456789abcdef") != "" {
		return authorization{}, incomplete("Signature must be 64 lower-case hexadecimal digits")
	}
	return a, nil
}

// splitFields returns the three fields, each present once and not empty.
func splitFields(s string) (map[string]string, error) {
	fields := make(map[string]string, 3)
	for field := range strings.SplitSeq(s, ",") {
		name, value, found := strings.Cut(strings.Trim(field, " "), "=")
		known := name == "Credential" || name == "SignedHeaders" || name == "Signature"
		if !found || !known || value == "" || fields[name] != "" {
			return nil, incomplete("the Authorization header must have Credential, SignedHeaders and Signature, each once and with a value")
		}
		fields[name] = value
	}
	if len(fields) != 3 {
		return nil, incomplete("the Authorization header lacks one of Credential, SignedHeaders, Signature")
	}
	return fields, nil
}

// scope reads key/date/region/service/aws4_request.
func (a *authorization) scope(credential string) error {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[4] != "aws4_request" || slices.Contains(parts, "") {
		return incomplete("Credential must be ACCESS-KEY-ID/YYYYMMDD/REGION/SERVICE/aws4_request")
	}
	if _, err := time.Parse("20060102", parts[1]); err != nil {
		return incomplete("the date in Credential must be YYYYMMDD")
	}
	a.AccessKeyID, a.Date, a.Region, a.Service = parts[0], parts[1], parts[2], parts[3]
	return nil
}

func (a *authorization) headers(list string) error {
	names := strings.Split(list, ";")
	if len(names) > maxSignedHeaders {
		return incomplete("SignedHeaders names more than 64 headers")
	}
	for i, name := range names {
		if name == "" || name != strings.ToLower(name) || strings.ContainsAny(name, " \t:") {
			return incomplete("SignedHeaders must be lower-case header names separated by ;")
		}
		if i > 0 && names[i-1] >= name {
			return incomplete("SignedHeaders must be sorted, each name once")
		}
	}
	for _, name := range []string{"host", "x-amz-date"} {
		if _, found := slices.BinarySearch(names, name); !found {
			return incomplete(name + " must be one of the SignedHeaders")
		}
	}
	a.SignedHeaders = names
	return nil
}

func (a *authorization) signs(header string) bool {
	_, found := slices.BinarySearch(a.SignedHeaders, strings.ToLower(header))
	return found
}
