package cloud

import (
	"net/http"
	"strings"
	"time"
)

// scfReadBody is what the reads may have in their bodies.
type scfReadBody struct {
	FunctionName *string
	Namespace    *string
	Qualifier    *string // of GetFunction: a version
	ShowCode     *string // of GetFunction
	Name         *string // of GetAlias
}

// scfReads are the reads by action.
var scfReads = map[string]func(*scfFront, *scfReadBody) (map[string]any, *scfError){
	"GetFunction":                  (*scfFront).getFunction,
	"GetAlias":                     (*scfFront).getAlias,
	"GetReservedConcurrencyConfig": (*scfFront).getReserved,
	"GetAccount":                   (*scfFront).getAccount,
}

// read answers what the control plane tells of functions and of the account.
func (s *scfFront) read(w http.ResponseWriter, id, action string, body []byte) *scfError {
	var in scfReadBody
	if refused := decodeParameters(body, &in); refused != nil {
		return refused
	}
	said, refused := scfReads[action](s, &in)
	if refused != nil {
		return refused
	}
	said["RequestId"] = id
	writeSCF(w, said)
	return nil
}

// foreign refuses parameters that belong to another action.
func foreign(fields ...*string) *scfError {
	for _, f := range fields {
		if f != nil {
			return &scfError{"UnknownParameter", "a parameter belongs to another action"}
		}
	}
	return nil
}

// named finds the function that a read is about.
func (s *scfFront) named(in *scfReadBody) (*function, *scfError) {
	if in.FunctionName == nil {
		return nil, &scfError{"MissingParameter", "FunctionName is missing"}
	}
	if !scfNameForm.MatchString(*in.FunctionName) {
		return nil, &scfError{"InvalidParameterValue.FunctionName", "FunctionName must have 2 to 60 letters, digits, - and _"}
	}
	f := s.functions[*in.FunctionName]
	if f == nil || f.Namespace != value(in.Namespace, "default") {
		return nil, &scfError{"ResourceNotFound.Function", "the function does not exist in the namespace"}
	}
	return f, nil
}

// getFunction takes versions only; an alias is resolved with GetAlias.
func (s *scfFront) getFunction(in *scfReadBody) (map[string]any, *scfError) {
	refused := foreign(in.Name)
	var f *function
	if refused == nil {
		f, refused = s.named(in)
	}
	if refused != nil {
		return nil, refused
	}
	qualifier := value(in.Qualifier, latest)
	if !versionForm.MatchString(qualifier) {
		return nil, &scfError{"InvalidParameterValue.Qualifier", "Qualifier must be a version"}
	}
	if !f.published(qualifier) {
		return nil, &scfError{"ResourceNotFound.Version", "the function has no such version"}
	}
	variables := []map[string]string{}
	for _, pair := range f.Env {
		key, text, _ := strings.Cut(pair, "=")
		variables = append(variables, map[string]string{"Key": key, "Value": text})
	}
	return map[string]any{
		"FunctionName": f.Name, "Namespace": f.Namespace, "Qualifier": qualifier, "FunctionVersion": qualifier,
		"Runtime": "CustomRuntime", "Type": "Event", "Handler": f.handler(),
		"MemorySize": f.MiB, "Timeout": int(f.Timeout / time.Second), "InitTimeout": int(scfInit / time.Second),
		"Environment": map[string]any{"Variables": variables},
		"ClsTopicId":  f.topic(),
		"Status":      "Active", "AvailableStatus": "Available", "CodeSize": 1, "CodeResult": "success",
	}, nil
}

// published reports whether a version exists: $LATEST, or one that a qualifier names.
func (f *function) published(version string) bool {
	if version == latest {
		return true
	}
	for _, v := range f.Qualifiers {
		if v == version {
			return true
		}
	}
	return false
}

func (s *scfFront) getAlias(in *scfReadBody) (map[string]any, *scfError) {
	refused := foreign(in.Qualifier, in.ShowCode)
	var f *function
	if refused == nil {
		f, refused = s.named(in)
	}
	if refused != nil {
		return nil, refused
	}
	name := value(in.Name, "")
	version, known := f.Qualifiers[name]
	switch {
	case in.Name == nil:
		return nil, &scfError{"MissingParameter", "Name is missing"}
	case versionForm.MatchString(name):
		return nil, &scfError{"InvalidParameterValue.Name", "Name is not the name of an alias"}
	case !known && name == scfDefault:
		version = latest
	case !known:
		return nil, &scfError{"ResourceNotFound.Alias", "the function has no such alias"}
	}
	return map[string]any{"Name": name, "FunctionVersion": version, "Description": ""}, nil
}

// getReserved is GetReservedConcurrencyConfig: null without a reservation.
func (s *scfFront) getReserved(in *scfReadBody) (map[string]any, *scfError) {
	refused := foreign(in.Qualifier, in.ShowCode, in.Name)
	var f *function
	if refused == nil {
		f, refused = s.named(in)
	}
	if refused != nil {
		return nil, refused
	}
	return map[string]any{"ReservedMem": s.fleet.reserved(f)}, nil
}

func (s *scfFront) getAccount(in *scfReadBody) (map[string]any, *scfError) {
	if refused := foreign(in.FunctionName, in.Namespace, in.Qualifier, in.ShowCode, in.Name); refused != nil {
		return nil, refused
	}
	allocated := s.config.MemoryQuota - s.fleet.unreserved()
	return map[string]any{
		"AccountUsage": map[string]any{
			"NamespacesCount": 1, "TotalConcurrencyMem": s.config.MemoryQuota,
			"TotalAllocatedConcurrencyMem": allocated, "UserConcurrencyMemLimit": s.config.MemoryQuota,
		},
		"AccountLimit": map[string]any{"NamespacesCount": 5},
	}, nil
}
