package cloud

import (
	"regexp"
	"strings"
)

// maxName bounds a function name with everything that may stand around it.
const maxName = 170

// nameParts is Lambda's own form of FunctionName: a name, a partial ARN or an
// ARN, with an optional qualifier.
var nameParts = regexp.MustCompile(`^(?:arn:(aws[a-zA-Z-]*):lambda:)?(?:([a-z]{2}(?:-[a-z]+)+-\d):)?(?:(\d{12}):)?(function:)?([a-zA-Z0-9_-]+)(?::(\$LATEST|[a-zA-Z0-9_-]+))?$`)

// target is a FunctionName taken apart; what was not written is empty.
type target struct{ region, account, name, qualifier string }

func parseName(text string) (target, *apiError) {
	m := nameParts.FindStringSubmatch(text)
	if m == nil || len(text) > maxName {
		return target{}, invalidParameter("FunctionName is neither a function name, a partial ARN nor an ARN")
	}
	t := target{m[2], m[3], m[5], m[6]}
	full, word := m[1] != "", m[4] != ""
	if full && (t.region == "" || t.account == "" || !word) || !full && (t.region != "" || word && t.account == "") {
		return target{}, invalidParameter("FunctionName is an incomplete ARN")
	}
	if len(t.name) > 64 {
		return target{}, invalidParameter("a function name has at most 64 characters")
	}
	return t, nil
}

// resolve finds the function and version that a FunctionName and a Qualifier mean.
func (s *lambdaFront) resolve(text, qualifier string) (*function, string, *apiError) {
	t, refused := parseName(text)
	if refused != nil {
		return nil, "", refused
	}
	switch {
	case t.region != "" && t.region != s.config.Region:
		return nil, "", notFound("functions of " + t.region + " cannot be reached in " + s.config.Region)
	case t.account != "" && t.account != s.config.AccountID:
		return nil, "", accessDenied("the key is not allowed to invoke functions of account " + t.account)
	case t.qualifier != "" && qualifier != "" && t.qualifier != qualifier:
		return nil, "", invalidParameter("the qualifier in the function name differs from the Qualifier parameter")
	case qualifier != "" && !versionForm.MatchString(qualifier) && !aliasForm.MatchString(qualifier):
		return nil, "", invalidParameter("Qualifier must be a version or an alias")
	}
	if t.qualifier != "" {
		qualifier = t.qualifier
	}
	f := s.functions[t.name]
	if f == nil {
		return nil, "", notFound("Function not found: " + s.arn(t.name, qualifier))
	}
	version, ok := f.version(qualifier)
	if !ok {
		return nil, "", notFound("Function not found: " + s.arn(t.name, qualifier))
	}
	return f, version, nil
}

func (f *function) version(qualifier string) (string, bool) {
	if qualifier == "" || qualifier == latest {
		return latest, true
	}
	version, ok := f.Qualifiers[qualifier]
	return version, ok
}

func (s *lambdaFront) arn(name, qualifier string) string {
	parts := []string{"arn:aws:lambda", s.config.Region, s.config.AccountID, "function", name}
	if qualifier != "" {
		parts = append(parts, qualifier)
	}
	return strings.Join(parts, ":")
}
