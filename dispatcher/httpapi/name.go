package httpapi

import "strings"

const (
	maxLabel     = 63  // as in DNS
	maxQualifier = 128 // as at AWS
)

// parseFunctionName reads Lambda's FunctionName: a name, a partial ARN or an
// ARN, each with or without a qualifier. Region and account must have their form
// and mean nothing here.
func parseFunctionName(segment string) (name, qualifier string, ok bool) {
	segment, ok = decodeColons(segment)
	if !ok || len(segment) > 256 {
		return "", "", false
	}
	if rest, isARN := strings.CutPrefix(segment, "arn:"); isARN {
		if segment, ok = cutARN(rest); !ok {
			return "", "", false
		}
	} else if account, rest, _ := strings.Cut(segment, ":function:"); rest != "" {
		if !isAccount(account) {
			return "", "", false
		}
		segment = rest
	}
	name, qualifier, qualified := strings.Cut(segment, ":")
	return name, qualifier, isLabel(name) && (!qualified || isQualifier(qualifier))
}

// cutARN returns what follows partition:lambda:region:account:function: of s.
func cutARN(s string) (string, bool) {
	partition, s, _ := strings.Cut(s, ":")
	service, s, _ := strings.Cut(s, ":")
	region, s, _ := strings.Cut(s, ":")
	account, s, _ := strings.Cut(s, ":")
	kind, s, _ := strings.Cut(s, ":")
	ok := strings.HasPrefix(partition, "aws") && isLabel(partition) && !strings.ContainsAny(partition, "0123456789") && service == "lambda" &&
		isLabel(region) && isAccount(account) && kind == "function"
	return s, ok
}

// decodeColons decodes the two characters that SDKs encode in a FunctionName, :
// and $. Any other escape is refused: a name never needs one.
func decodeColons(s string) (string, bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(s, "%")
		b.WriteString(plain)
		switch {
		case !found:
			return b.String(), true
		case strings.HasPrefix(rest, "3A"), strings.HasPrefix(rest, "3a"):
			b.WriteByte(':')
		case strings.HasPrefix(rest, "24"):
			b.WriteByte('$')
		default:
			return "", false
		}
		s = rest[2:]
	}
}

// isLabel reports whether s is a DNS-1123 label.
func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

func isQualifier(s string) bool {
	if s == "" || len(s) > maxQualifier {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' && c != '$' {
			return false
		}
	}
	return true
}
