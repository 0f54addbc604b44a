package terraform

import (
	"encoding/json"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostile are texts that end quotes, begin templates, or move the cursor.
var hostile = []string{
	"", "plain", `a"b\c`, "${file(\"/etc/passwd\")}", "%{ if true }x%{ endif }", "$${x}", "$$${x}", "$$$${x}", "%%{x}", "%%%{x}", "$%{x}", "%${x}",
	"$", "$$", "%", "{", "}", "a${", "$\\{", "line\nbreak\r\ttab", "nul\x00bell\a\x1b[2J", "\u2028\u202eé漢🙂\U000e0001", "x\xff\xfey", "<<EOF\nx\nEOF", "\" } resource \"x\" {",
}

// unquote reads a quoted literal as HCL specifies it, and fails on a template.
func unquote(t *testing.T, quoted string) string {
	t.Helper()
	if len(quoted) < 2 || quoted[0] != '"' || quoted[len(quoted)-1] != '"' {
		t.Fatalf("%s is not quoted", quoted)
	}
	var b strings.Builder
	for s := quoted[1 : len(quoted)-1]; s != ""; {
		switch {
		case strings.HasPrefix(s, "$${"), strings.HasPrefix(s, "%%{"):
			b.WriteString(s[1:3])
			s = s[3:]
		case strings.HasPrefix(s, "${"), strings.HasPrefix(s, "%{"):
			t.Fatalf("%s has a template", quoted)
		case s[0] == '"' || s[0] < ' ':
			t.Fatalf("%s ends early", quoted)
		case s[0] != '\\':
			r, n := utf8.DecodeRuneInString(s)
			b.WriteRune(r)
			s = s[n:]
		default:
			n := map[byte]int{'u': 4, 'U': 8}[s[1]]
			if n == 0 {
				b.WriteString(map[byte]string{'n': "\n", 'r': "\r", 't': "\t", '"': `"`, '\\': `\`}[s[1]])
			} else {
				code, err := strconv.ParseUint(s[2:2+n], 16, 32)
				if err != nil {
					t.Fatal(err)
				}
				b.WriteRune(rune(code))
			}
			s = s[2+n:]
		}
	}
	return b.String()
}

func FuzzText(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := unquote(t, string(text(s))), strings.ToValidUTF8(s, "\ufffd"); got != want && utf8.ValidString(s) {
			t.Errorf("%q is written as %s and read as %q", s, text(s), got)
		}
		if strings.ContainsAny(render([]item{note("%s", s+"x")}), "\r\x00") || strings.Count(render([]item{note("%s", s+"x")}), "\n") != 1 {
			t.Errorf("%q is a comment of more than one line", s)
		}
	})
}

// TestTerraformReadsText: Terraform itself reads back what was quoted.
func TestTerraformReadsText(t *testing.T) {
	program, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed")
	}
	var elements []expr
	for _, s := range hostile {
		elements = append(elements, text(s))
	}
	cmd := exec.Command(program, "console")
	cmd.Dir = t.TempDir()
	cmd.Stdin = strings.NewReader(string(call("jsonencode", call("jsonencode", inline(elements...)))) + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var shown, encoded string
	var got []string
	if shown, err = strconv.Unquote(strings.TrimSpace(string(out))); err == nil { // the console quotes it once more
		if err = json.Unmarshal([]byte(shown), &encoded); err == nil {
			err = json.Unmarshal([]byte(encoded), &got)
		}
	}
	if err != nil || len(got) != len(hostile) {
		t.Fatalf("%v: %s", err, out)
	}
	for i, s := range hostile {
		if want := strings.ToValidUTF8(s, "\ufffd"); got[i] != want && utf8.ValidString(s) {
			t.Errorf("%q is written as %s and read as %q", s, elements[i], got[i])
		}
	}
}

func TestIdentifiers(t *testing.T) {
	for want, parts := range map[string][]string{
		"lambda_us_a_b": {"lambda-us", "a.B"}, "p_1": {"1"}, "p_": {""}, "__": {"漢", ""},
	} {
		if got := identifier(parts...); got != want {
			t.Errorf("%q: %s, want %s", parts, got, want)
		}
	}
}

func TestRoleNames(t *testing.T) {
	long := strings.Repeat("a", 62)
	if roleName("east") != "spillway-east-functions" {
		t.Error(roleName("east"))
	}
	if x, y := roleName(long+"x"), roleName(long+"y"); x == y || len(x) > 64 || len(y) > 64 {
		t.Errorf("%s and %s", x, y)
	}
}
