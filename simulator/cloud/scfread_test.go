package cloud

import (
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	api "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/scf/v20180416"
)

func describedSCF() Function {
	f := handled("orders", echo)
	zero := 0
	f.Namespace, f.MiB, f.Timeout, f.Reserved = "tools", 256, 20*time.Second, &zero
	f.Qualifiers, f.Env = map[string]string{"live": "3"}, []string{"MODE=fast"}
	return f
}

func TestSCFReads(t *testing.T) {
	_, c := serveSCF(t, Config{Functions: []Function{describedSCF(), handled("plain", echo)}, MemoryQuota: 4096})
	text := common.StringPtr
	for _, version := range []string{"", "$LATEST", "3"} {
		q := api.NewGetFunctionRequest()
		q.FunctionName, q.Namespace, q.ShowCode = text("orders"), text("tools"), text("FALSE")
		if version != "" {
			q.Qualifier = &version
		}
		out, err := c.GetFunction(q)
		if err != nil {
			t.Fatal(err)
		}
		r := out.Response
		if *r.MemorySize != 256 || *r.Timeout != 20 || *r.InitTimeout != 65 || *r.Runtime != "CustomRuntime" || *r.Status != "Active" || r.CodeInfo != nil || *r.Environment.Variables[0].Value != "fast" || *r.RequestId == "" {
			t.Errorf("%q: %+v", version, r)
		}
	}
	for name, version := range map[string]string{"live": "3", "$DEFAULT": "$LATEST"} {
		q := api.NewGetAliasRequest()
		q.FunctionName, q.Namespace, q.Name = text("orders"), text("tools"), &name
		if out, err := c.GetAlias(q); err != nil || *out.Response.FunctionVersion != version || *out.Response.Name != name {
			t.Errorf("%s: %v: %+v", name, err, out)
		}
	}
	q := api.NewGetReservedConcurrencyConfigRequest()
	q.FunctionName, q.Namespace = text("orders"), text("tools")
	if out, err := c.GetReservedConcurrencyConfig(q); err != nil || *out.Response.ReservedMem != 0 {
		t.Errorf("%v: %+v", err, out)
	}
	q.FunctionName, q.Namespace = text("plain"), nil
	if out, err := c.GetReservedConcurrencyConfig(q); err != nil || out.Response.ReservedMem != nil {
		t.Errorf("%v: %+v", err, out)
	}
	account, err := c.GetAccount(api.NewGetAccountRequest())
	if err != nil || *account.Response.AccountUsage.TotalConcurrencyMem != 4096 {
		t.Errorf("%v: %+v", err, account)
	}
}

func TestSCFReadsRefuse(t *testing.T) {
	_, c := serveSCF(t, Config{Functions: []Function{describedSCF()}})
	text := common.StringPtr
	function := func(name, namespace, version *string) string {
		q := api.NewGetFunctionRequest()
		q.FunctionName, q.Namespace, q.Qualifier = name, namespace, version
		_, err := c.GetFunction(q)
		return codeOf(err)
	}
	alias := func(name, namespace, alias *string) string {
		q := api.NewGetAliasRequest()
		q.FunctionName, q.Namespace, q.Name = name, namespace, alias
		_, err := c.GetAlias(q)
		return codeOf(err)
	}
	reserved := func(name *string) string {
		q := api.NewGetReservedConcurrencyConfigRequest()
		q.FunctionName, q.Namespace = name, text("tools")
		_, err := c.GetReservedConcurrencyConfig(q)
		return codeOf(err)
	}
	orders, tools := text("orders"), text("tools")
	for what, codes := range map[string][2]string{
		"no name":           {function(nil, tools, nil), "MissingParameter"},
		"odd name":          {function(text("a b"), tools, nil), "InvalidParameterValue.FunctionName"},
		"unknown":           {function(text("nobody"), tools, nil), "ResourceNotFound.Function"},
		"other namespace":   {function(orders, nil, nil), "ResourceNotFound.Function"},
		"no such version":   {function(orders, tools, text("4")), "ResourceNotFound.Version"},
		"alias as version":  {function(orders, tools, text("live")), "InvalidParameterValue.Qualifier"},
		"no alias":          {alias(orders, tools, nil), "MissingParameter"},
		"unknown alias":     {alias(orders, tools, text("old")), "ResourceNotFound.Alias"},
		"version as alias":  {alias(orders, tools, text("3")), "InvalidParameterValue.Name"},
		"alias of unknown":  {alias(text("nobody"), tools, text("live")), "ResourceNotFound.Function"},
		"reserved, unknown": {reserved(text("nobody")), "ResourceNotFound.Function"},
	} {
		if codes[0] != codes[1] {
			t.Errorf("%s: %s, want %s", what, codes[0], codes[1])
		}
	}
}
