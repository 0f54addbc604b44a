package rego

import (
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

const (
	whyNetwork   = "it reaches the network or the host; put what it would fetch in data.json"
	whyChance    = "its result differs from call to call, so a decision could not be repeated"
	whyKeys      = "a placement needs no keys or tokens; the caller is already verified and is input.caller"
	whyUnstopped = "its running time cannot be bounded"
	whyTrace     = "it has no effect here; use print and `spillway policy test`"
)

// refused says, by name or by family (ending in a dot), why a builtin is not
// offered to policies.
var refused = map[string]string{
	"http.send":               whyNetwork,
	"net.lookup_ip_addr":      whyNetwork,
	"opa.runtime":             whyNetwork,
	"rand.intn":               whyChance,
	"uuid.rfc4122":            whyChance,
	"io.jwt.":                 whyKeys,
	"crypto.x509.":            whyKeys,
	"crypto.hmac.":            whyKeys,
	"crypto.parse_":           whyKeys,
	"providers.":              whyKeys,
	"graph.":                  whyUnstopped,
	"graphql.":                whyUnstopped,
	"bits.lsh":                whyUnstopped,
	"regex.globs_match":       whyUnstopped,
	"json.match_schema":       whyUnstopped,
	"json.verify_schema":      whyUnstopped,
	"rego.parse_module":       whyUnstopped,
	"strings.render_template": whyUnstopped,
	"trace":                   whyTrace,
}

// refusal returns why the builtin called name is refused, or "".
func refusal(name string) string {
	if why := refused[name]; why != "" {
		return why
	}
	for family, why := range refused {
		if strings.HasSuffix(family, ".") || strings.HasSuffix(family, "_") {
			if strings.HasPrefix(name, family) {
				return why
			}
		}
	}
	if b := ast.BuiltinMap[name]; b != nil && b.Nondeterministic && b != ast.NowNanos {
		return whyChance
	}
	return ""
}

// capabilities returns OPA's own without the refused builtins and without hosts
// that schemas could be fetched from. time.now_ns stays: evaluation gives it the
// minute of the Input.
var capabilities = sync.OnceValue(func() *ast.Capabilities {
	all := ast.CapabilitiesForThisVersion()
	kept := make([]*ast.Builtin, 0, len(all.Builtins))
	for _, b := range all.Builtins {
		if refusal(b.Name) == "" {
			kept = append(kept, b)
		}
	}
	all.Builtins = kept
	all.AllowNet = []string{}
	return all
})
