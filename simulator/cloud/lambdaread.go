package cloud

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// readRate is how many requests a second Lambda's control plane takes of an account.
const readRate = 15

// functionConfiguration is a function as Lambda describes it; times are seconds.
type functionConfiguration struct {
	FunctionName, FunctionArn, Version string
	Runtime, Handler, Role             string
	PackageType                        string
	Architectures                      []string
	MemorySize, Timeout                int
	CodeSha256                         string
	CodeSize                           int64
	State, LastUpdateStatus            string
	LastModified                       string
	RevisionID                         string                `json:"RevisionId"`
	Environment                        *environmentVariables `json:",omitempty"`
	EphemeralStorage                   struct{ Size int }
	LoggingConfig                      struct{ LogFormat, LogGroup string }
}

type environmentVariables struct{ Variables map[string]string }

// read answers what the control plane tells of functions and of the account.
func (s *lambdaFront) read(w http.ResponseWriter, r *http.Request, path string) *apiError {
	if path = strings.TrimSuffix(path, "/"); path == "/2016-08-19/account-settings" {
		return s.readWith(w, func() (any, *apiError) { return s.accountSettings(), nil })
	}
	if name, ok := strings.CutPrefix(path, "/2019-09-30/functions/"); ok {
		if name, ok = strings.CutSuffix(name, "/concurrency"); ok {
			return s.readWith(w, func() (any, *apiError) { return s.concurrency(name) })
		}
		return unknownOperation()
	}
	rest, ok := strings.CutPrefix(path, "/2015-03-31/functions/")
	name, what, _ := strings.Cut(rest, "/")
	alias, isAlias := strings.CutPrefix(what, "aliases/")
	switch {
	case !ok || name == "" || isAlias && (alias == "" || strings.Contains(alias, "/")):
	case isAlias:
		return s.readWith(w, func() (any, *apiError) { return s.alias(name, alias) })
	case what == "configuration":
		return s.readWith(w, func() (any, *apiError) { return s.configuration(name, r.URL.Query().Get("Qualifier")) })
	case what == "":
		return s.readWith(w, func() (any, *apiError) { return s.describe(name, r.URL.Query().Get("Qualifier")) })
	}
	return unknownOperation()
}

// readWith answers with what tell returns, if the control plane takes a request now.
func (s *lambdaFront) readWith(w http.ResponseWriter, tell func() (any, *apiError)) *apiError {
	if !s.fleet.takes(s.reads, s.config.Clock()) {
		return throttled(ReasonCallerRate, 1)
	}
	said, refused := tell()
	if refused != nil {
		return refused
	}
	body, _ := json.Marshal(said) // strings and numbers always marshal
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
	return nil
}

func (f *fleet) takes(m *meter, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !m.has(now) {
		return false
	}
	m.take(now)
	return true
}

// describe is GetFunction. It has no Code.Location: nothing can be downloaded here.
func (s *lambdaFront) describe(name, qualifier string) (any, *apiError) {
	config, refused := s.configuration(name, qualifier)
	if refused != nil {
		return nil, refused
	}
	said := map[string]any{"Configuration": config, "Code": map[string]string{"RepositoryType": "S3"}}
	if n := s.fleet.reserved(s.functions[config.FunctionName]); n != nil {
		said["Concurrency"] = map[string]int{"ReservedConcurrentExecutions": *n}
	}
	return said, nil
}

func (s *lambdaFront) configuration(escaped, qualifier string) (*functionConfiguration, *apiError) {
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, invalidParameter("FunctionName is not escaped correctly")
	}
	f, version, refused := s.resolve(name, qualifier)
	if refused != nil {
		return nil, refused
	}
	if t, _ := parseName(name); t.qualifier != "" { // it parsed
		qualifier = t.qualifier
	}
	config := &functionConfiguration{
		FunctionName: f.Name, FunctionArn: s.arn(f.Name, qualifier), Version: version,
		Runtime: "provided.al2023", Handler: f.handler(), Role: "arn:aws:iam::" + s.config.AccountID + ":role/" + f.Name,
		PackageType: "Zip", Architectures: []string{f.Architecture},
		MemorySize: f.MiB, Timeout: int(f.Timeout / time.Second),
		CodeSha256: f.codeDigest(), CodeSize: 1, State: "Active", LastUpdateStatus: "Successful",
		LastModified: "2026-01-01T00:00:00.000+0000", RevisionID: "00000000-0000-4000-8000-000000000000",
	}
	config.EphemeralStorage.Size = 512
	config.LoggingConfig.LogFormat, config.LoggingConfig.LogGroup = "Text", "/aws/lambda/"+f.Name
	if len(f.Env) > 0 {
		config.Environment = &environmentVariables{map[string]string{}}
		for _, pair := range f.Env {
			key, value, _ := strings.Cut(pair, "=")
			config.Environment.Variables[key] = value
		}
	}
	return config, nil
}

func (f Function) handler() string {
	if f.HandlerName == "" {
		return "bootstrap"
	}
	return f.HandlerName
}

func (f Function) codeDigest() string {
	if f.CodeSHA256 != "" {
		return f.CodeSHA256
	}
	sum := sha256.Sum256([]byte("code of " + f.Name))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// unqualified finds a function by a name that may not have a qualifier.
func (s *lambdaFront) unqualified(escaped string) (*function, *apiError) {
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, invalidParameter("FunctionName is not escaped correctly")
	}
	if t, refused := parseName(name); refused == nil && t.qualifier != "" {
		return nil, invalidParameter("this operation is not for one version or alias; leave the qualifier out")
	}
	f, _, refused := s.resolve(name, "")
	return f, refused
}

// alias is GetAlias; versions are not aliases.
func (s *lambdaFront) alias(escaped, escapedAlias string) (any, *apiError) {
	f, refused := s.unqualified(escaped)
	if refused != nil {
		return nil, refused
	}
	name, err := url.PathUnescape(escapedAlias)
	version, known := f.Qualifiers[name]
	switch {
	case err != nil || versionForm.MatchString(name) || !aliasForm.MatchString(name):
		return nil, invalidParameter("Name must be the name of an alias")
	case !known:
		return nil, notFound("Cannot find alias arn: " + s.arn(f.Name, name))
	}
	return map[string]string{
		"AliasArn": s.arn(f.Name, name), "Name": name, "FunctionVersion": version, "Description": "",
		"RevisionId": "00000000-0000-4000-8000-000000000001",
	}, nil
}

// concurrency is GetFunctionConcurrency: empty without a reservation.
func (s *lambdaFront) concurrency(escaped string) (any, *apiError) {
	f, refused := s.unqualified(escaped)
	if refused != nil {
		return nil, refused
	}
	said := map[string]int{}
	if n := s.fleet.reserved(f); n != nil {
		said["ReservedConcurrentExecutions"] = *n
	}
	return said, nil
}

// accountSettings tells the limits, and not what is in use: Lambda does not either.
func (s *lambdaFront) accountSettings() any {
	return map[string]map[string]int64{
		"AccountLimit": {
			"CodeSizeUnzipped":               250 << 20,
			"CodeSizeZipped":                 50 << 20,
			"ConcurrentExecutions":           int64(s.config.Concurrency),
			"TotalCodeSize":                  75 << 30,
			"UnreservedConcurrentExecutions": int64(s.fleet.unreserved()),
		},
		"AccountUsage": {"FunctionCount": int64(len(s.functions)), "TotalCodeSize": 0},
	}
}
