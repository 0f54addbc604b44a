package httpapi

import (
	"fmt"
	"strings"
)

func postTo(uri string) string {
	return "POST " + uri + " HTTP/1.1|{H}{A}Content-Length: 1||1"
}

// rawTargets are whole targets, for a token that may call web/resize only.
var rawTargets = []rawTest{
	{"authority", "CONNECT 127.0.0.1:80 HTTP/1.1|{H}{A}|{S}", "400", ""},
	{"asterisk", "OPTIONS * HTTP/1.1|{H}{A}|{S}", "400", ""},
	{"asterisk of POST", postTo("*") + "{S}", "400", ""},
	{"no slash", postTo("namespaces/web/functions/resize/invoke") + "{S}", "400", ""},
	{"two slashes first", postTo("//namespaces/web/functions/resize/invoke") + "{S}", "400", ""},
	{"two slashes", postTo("/namespaces/web//functions/resize/invoke") + "{S}", "400", ""},
	{"two slashes last", postTo("/namespaces/web/functions/resize//invoke") + "{S}", "400", ""},
	{"dots", postTo("/namespaces/web/../web/functions/resize/invoke") + "{S}", "400", ""},
	{"dots into another", postTo("/namespaces/web/functions/resize/../../../shop/functions/resize/invoke") + "{S}", "400", ""},
	{"dots in the query", postTo("/namespaces/web/functions/resize/invoke?../../shop"), "200 ran 1", ""},
	{"one dot", postTo("/./namespaces/web/functions/resize/invoke") + "{S}", "400", ""},
	{"encoded dots", postTo("/namespaces/shop/%2e%2E/web/functions/resize/invoke") + "{S}", "400", ""},
	{"half-encoded dots", postTo("/namespaces/shop/.%2e/web/functions/resize/invoke") + "{S}", "400", ""},
	{"dots and a parameter", postTo("/namespaces/shop/..;/web/functions/resize/invoke") + "{S}", "400", ""},
	{"encoded slash in a path", postTo("/namespaces%2fweb/functions/resize/invoke") + "{S}", "400", ""},
	{"encoded letter in the path", postTo("/%6eamespaces/web/functions/resize/invoke"), "404", ""},
	{"encoded end", postTo("/namespaces/web/functions/resize/%69nvoke"), "404", ""},
	{"encoded date", postTo("/namespaces/web/2015%2d03-31/functions/resize/invocations"), "404", ""},
	{"other date", postTo("/namespaces/web/2014-11-13/functions/resize/invocations"), "400", ""},
	{"slash last", postTo("/namespaces/web/functions/resize/invoke/"), "404", ""},
	{"parameter last", postTo("/namespaces/web/functions/resize/invoke;a=b"), "404", ""},
	{"capitals", postTo("/Namespaces/web/functions/resize/invoke"), "404", ""},
	{"capitals at the end", postTo("/namespaces/web/functions/resize/INVOKE"), "404", ""},
	{"two names", postTo("/namespaces/web/functions/resize/resize/invoke"), "404", ""},
	{"a function in a function", postTo("/namespaces/shop/functions/other/namespaces/web/functions/resize/invoke"), "403", ""},
	{"both paths in one", postTo("/namespaces/web/2015-03-31/functions/resize/invocations/functions/resize/invoke"), "400", ""},
	{"another's namespace", postTo("/namespaces/shop/functions/resize/invoke"), "403", ""},
	{"another's function", postTo("/namespaces/web/functions/page/invoke"), "403", ""},
	{"another's function by ARN", postTo("/namespaces/web/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:other/invocations"), "403", ""},
	{"one's function by ARN", postTo("/namespaces/web/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:resize/invocations"), "200 ran 1", ""},
	{"two names in one ARN", postTo("/namespaces/web/2015-03-31/functions/123456789012:function:resize:function:other/invocations"), "400", ""},
	{"namespace in an ARN", postTo("/namespaces/web/2015-03-31/functions/arn:aws:lambda:eu-west-1:shop:function:resize/invocations"), "400", ""},
	{"ARN of another service", postTo("/namespaces/web/2015-03-31/functions/arn:aws:s3:eu-west-1:123456789012:function:resize/invocations"), "400", ""},
	{"path after the query", postTo("/namespaces/web/functions/other/invoke?/namespaces/web/functions/resize/invoke"), "403", ""},
	{"request in a body of GET", "GET {P} HTTP/1.1|{H}{A}Content-Length: 158||{S}", "405", ""},
	{"encoded question mark", postTo("{P}%3fqualifier=v1"), "404", ""},
	{"root", postTo("/"), "404", ""},
	{"admin", postTo("/metrics"), "404", ""},
}

// rawQualifiers are ways to name a revision.
var rawQualifiers = []rawTest{
	{"in the name", postTo("/namespaces/web/2015-03-31/functions/resize:v1/invocations"), "200 ran 1", ""},
	{"encoded colon", postTo("/namespaces/web/2015-03-31/functions/resize%3av1/invocations"), "200 ran 1", ""},
	{"colon encoded twice", postTo("/namespaces/web/2015-03-31/functions/resize%253av1/invocations"), "400", ""},
	{"encoded letter", postTo("/namespaces/web/2015-03-31/functions/resize:%761/invocations"), "400", ""},
	{"encoded slash", postTo("/namespaces/web/2015-03-31/functions/resize:v%2f1/invocations") + "{S}", "400", ""},
	{"dots", postTo("/namespaces/web/2015-03-31/functions/resize:%2e%2e/invocations") + "{S}", "400", ""},
	{"empty", postTo("/namespaces/web/2015-03-31/functions/resize:/invocations"), "400", ""},
	{"two in the name", postTo("/namespaces/web/2015-03-31/functions/resize:v1:v2/invocations"), "400", ""},
	{"two in the query", postTo("/namespaces/web/2015-03-31/functions/resize/invocations?Qualifier=v1&Qualifier=v2"), "400", ""},
	{"two ways", postTo("/namespaces/web/2015-03-31/functions/resize:v1/invocations?Qualifier=v2"), "400", ""},
	{"in small letters", postTo("/namespaces/web/2015-03-31/functions/resize/invocations?qualifier=v1"), "200 ran 1", ""},
	{"slash in the query", postTo("{L}?Qualifier=a/b"), "400", ""},
	{"encoded slash in the query", postTo("{L}?Qualifier=a%2fb"), "400", ""},
	{"NUL in the query", postTo("{L}?Qualifier=v%001"), "400", ""},
	{"space in the query", postTo("{L}?Qualifier=v+1"), "400", ""},
	{"broken escape in the query", postTo("{L}?Qualifier=%zz"), "400", ""},
	{"semicolon in the query", postTo("{L}?Qualifier=v1;Qualifier=v2"), "400", ""},
	{"brackets in the query", postTo("{L}?Qualifier[]=v2"), "200 ran 1", ""},
	{"129 letters", postTo("{L}?Qualifier=" + strings.Repeat("a", 129)), "400", ""},
	{"plain URL, two", postTo("{P}?qualifier=v1&qualifier=v2"), "400", ""},
	{"plain URL, in the name", postTo("/namespaces/web/functions/resize:v1/invoke"), "400", ""},
	{"plain URL, encoded", postTo("{P}?%71ualifier=v1&qualifier=v2"), "400", ""},
}

// oddNames are no names, also not of web/resize, whatever one decodes.
var oddNames = []struct{ what, name string }{
	{"encoded letter", "%72esize"}, {"encoded slash", "shop%2fresize"}, {"encoded slash in capitals", "shop%2Fresize"},
	{"encoded backslash", "shop%5cresize"}, {"slash encoded twice", "shop%252Fresize"}, {"dots", ".."}, {"encoded dots", "%2e%2e"},
	{"dots encoded twice", "%252e%252e"}, {"dots and a slash", "..%2fresize"}, {"overlong dots", "%c0%ae%c0%ae"}, {"NUL", "resize%00"},
	{"line end", "resize%0d%0aX-A:%20b"}, {"broken escape", "resize%zz"}, {"half an escape", "resize%2"}, {"percent", "resize%25"},
	{"UTF-8", "r\u00e9size"}, {"encoded UTF-8", "r%c3%a9size"}, {"wide letter", "%ef%bd%92esize"}, {"capital", "Resize"},
	{"parameter", "resize;a=b"}, {"encoded space", "resize%20"}, {"plus", "resize+"}, {"comma", "resize,other"}, {"star", "*"},
	{"brackets", "{resize}"}, {"hyphen first", "-resize"}, {"hyphen last", "resize-"}, {"dot inside", "re.size"}, {"underscore", "re_size"},
	{"64 letters", strings.Repeat("a", 64)}, {"backslash", "shop\\resize"}, {"no name", ""}, {"at", "resize@shop"}, {"tilde", "~resize"},
}

// rawNames puts the odd names in the place of a namespace and of a function on each
// of the three paths. All are refused, and whatever might come next is not run.
func rawNames() []rawTest {
	var all []rawTest
	for _, place := range []struct{ what, path string }{
		{"namespace of URL", "/namespaces/%s/functions/resize/invoke"}, {"function of URL", "/namespaces/web/functions/%s/invoke"},
		{"namespace of Lambda", "/namespaces/%s/2015-03-31/functions/resize/invocations"}, {"function of Lambda", "/namespaces/web/2015-03-31/functions/%s/invocations"},
		{"namespace of web", "/namespaces/%s/functions/page/sub"}, {"function of web", "/namespaces/web/functions/%s/sub"},
	} {
		for _, odd := range oddNames {
			send := postTo(fmt.Sprintf(place.path, odd.name))
			all = append(all, rawTest{odd.what + " as " + place.what, send, "4xx", ""})
		}
	}
	return all
}
