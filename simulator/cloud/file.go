package cloud

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const maxFile = 1 << 20 // bytes

type fileConfig struct {
	Region        string         `yaml:"region"`
	Account       string         `yaml:"account"`
	Keys          []fileKey      `yaml:"keys"`
	Concurrency   int            `yaml:"concurrency"`
	RampPer10s    int            `yaml:"rampPer10s"`
	IdleTimeout   string         `yaml:"idleTimeout"`
	Prices        filePrices     `yaml:"prices"`
	ExecutionLog  string         `yaml:"executionLog"`
	FaultSeed     uint64         `yaml:"faultSeed"`
	Faults        []Fault        `yaml:"faults"`
	Functions     []fileFunction `yaml:"functions"`
	Provider      string         `yaml:"provider"`
	MemoryQuota   int            `yaml:"memoryQuota"` // MiB
	RampPerMinute int            `yaml:"rampPerMinute"`
}

type fileKey struct {
	ID         string `yaml:"id"`
	Secret     string `yaml:"secret"`
	SecretFile string `yaml:"secretFile"`
}

type filePrices struct {
	GBSecond string `yaml:"gbSecond"`
	Request  string `yaml:"request"`
}

type fileFunction struct {
	Name       string            `yaml:"name"`
	Qualifiers map[string]string `yaml:"qualifiers"`
	Memory     *int              `yaml:"memory"` // MiB
	Timeout    string            `yaml:"timeout"`
	Reserved   *int              `yaml:"reserved"`
	Command    []string          `yaml:"command"`
	Dir        string            `yaml:"dir"`
	Env        map[string]string `yaml:"env"`
	Handler    string            `yaml:"handler"`
	Namespace  string            `yaml:"namespace"`
	// The rest is for reads of a function's configuration.
	Zip          string `yaml:"zip"`
	Architecture string `yaml:"architecture"`
}

// LoadConfig reads a Config from a YAML file. Relative paths in it are relative
// to the file. The error has all faults of the file, one a line, as
// file:line:col: field: problem; allowed: … It never shows a secret.
func LoadConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the cloud's configuration: %w", err)
	}
	if len(text) > maxFile {
		return Config{}, fmt.Errorf("%s:1:1: the file is larger than 1 MiB", path)
	}
	return decodeConfig(path, text)
}

func decodeConfig(path string, text []byte) (Config, error) {
	tokens := lexer.Tokenize(string(text))
	for _, t := range tokens {
		if t.Type == token.AnchorType || t.Type == token.AliasType {
			return Config{}, fmt.Errorf("%s: anchors and aliases are not used here; allowed: plain values", place(path, t))
		}
	}
	tree, err := parser.Parse(tokens, 0)
	if err != nil {
		return Config{}, yamlFault(path, nil, err)
	}
	if len(tree.Docs) > 1 {
		return Config{}, fmt.Errorf("%s: a second document; allowed: one", place(path, tree.Docs[1].Start))
	}
	d := Config{Provider: providerOf(tree)}.withDefaults()
	raw := fileConfig{
		Provider: d.Provider, Region: d.Region, Account: d.AccountID, Concurrency: d.Concurrency, RampPer10s: d.RampPer10s,
		MemoryQuota: d.MemoryQuota, RampPerMinute: d.RampPerMinute,
		IdleTimeout: d.IdleTimeout.String(), Prices: filePrices{d.Prices.GBSecond, d.Prices.Request},
	}
	if len(tree.Docs) == 1 && tree.Docs[0].Body != nil {
		if err := yaml.NodeToValue(tree.Docs[0].Body, &raw, yaml.Strict()); err != nil {
			return Config{}, yamlFault(path, tree, err)
		}
	}
	c, found := raw.config(filepath.Dir(path))
	found = append(found, c.faults()...)
	var all []error
	for _, f := range found {
		all = append(all, fmt.Errorf("%s: %w", place(path, find(tree, f.path)), f))
	}
	return c, errors.Join(all...)
}

// providerOf reads the field that decides the defaults of others; empty if it is
// not there or not readable, which the strict decoder then says.
func providerOf(tree *ast.File) string {
	var raw struct {
		Provider string `yaml:"provider"`
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil || yaml.NodeToValue(tree.Docs[0].Body, &raw) != nil {
		return ""
	}
	return raw.Provider
}

// config resolves paths and secrets; whatever else is wrong is left in place for Config.faults.
func (raw fileConfig) config(dir string) (Config, []*fault) {
	c := Config{
		Provider: raw.Provider, Region: raw.Region, AccountID: raw.Account, Keys: map[string]string{},
		Concurrency: raw.Concurrency, RampPer10s: raw.RampPer10s, MemoryQuota: raw.MemoryQuota, RampPerMinute: raw.RampPerMinute,
		Prices:       Prices{raw.Prices.GBSecond, raw.Prices.Request},
		ExecutionLog: within(dir, raw.ExecutionLog),
		Faults:       raw.Faults, FaultSeed: raw.FaultSeed,
	}
	var found []*fault
	duration := func(into *time.Duration, path, text string) {
		var err error
		if *into, err = time.ParseDuration(text); err != nil {
			found = append(found, &fault{path, "is not a duration", "a number with a unit, such as 30s or 5m"})
			*into = time.Second // found once is enough
		}
	}
	duration(&c.IdleTimeout, "idleTimeout", raw.IdleTimeout)
	for i, k := range raw.Keys {
		path := fmt.Sprintf("keys[%d]", i)
		secret, f := k.secret(path, dir)
		switch _, twice := c.Keys[k.ID]; {
		case f != nil:
			found = append(found, f)
		case k.ID == "" || strings.ContainsAny(k.ID, "/,= \t"):
			found = append(found, &fault{path + ".id", "is not an access key id", "letters and digits"})
		case twice:
			found = append(found, &fault{path + ".id", fmt.Sprintf("%q is there twice", k.ID), "each key once"})
		}
		if f == nil {
			c.Keys[k.ID] = secret
		}
	}
	for i, f := range raw.Functions {
		compiled := f.function(dir)
		if raw.Provider == SCF {
			set(&compiled.Namespace, "default")
		} else {
			set(&compiled.Architecture, "x86_64")
		}
		if f.Zip != "" {
			sum, err := zipDigest(within(dir, f.Zip))
			if err != nil {
				found = append(found, &fault{fmt.Sprintf("functions[%d].zip", i), "cannot be read", "the zip file that was deployed"})
			}
			compiled.CodeSHA256 = sum
		}
		if f.Timeout != "" {
			duration(&compiled.Timeout, fmt.Sprintf("functions[%d].timeout", i), f.Timeout)
		}
		if problem := compiled.missing(); problem != "" {
			found = append(found, &fault{fmt.Sprintf("functions[%d].command", i), problem, "a program in dir, or an absolute path"})
		}
		c.Functions = append(c.Functions, compiled)
	}
	return c, found
}

func (k fileKey) secret(path, dir string) (string, *fault) {
	if (k.Secret == "") == (k.SecretFile == "") {
		return "", &fault{path, "needs a secret", "either secret or secretFile"}
	}
	if k.SecretFile == "" {
		return k.Secret, nil
	}
	text, err := os.ReadFile(within(dir, k.SecretFile))
	secret := strings.TrimSpace(string(text))
	if err != nil || secret == "" {
		return "", &fault{path + ".secretFile", "cannot be read or is empty", "a file with the secret in it"}
	}
	return secret, nil
}

func (raw fileFunction) function(dir string) Function {
	f := Function{
		Name: raw.Name, Qualifiers: raw.Qualifiers, MiB: minMiB, Timeout: 3 * time.Second, Reserved: raw.Reserved,
		Command: raw.Command, Dir: within(dir, raw.Dir), HandlerName: raw.Handler, Namespace: raw.Namespace,
		Architecture: raw.Architecture,
	}
	if raw.Memory != nil {
		f.MiB = *raw.Memory
	}
	if f.Dir == "" && len(f.Command) > 0 { // a relative program is next to the file
		f.Dir = within(dir, ".")
	}
	for _, key := range slices.Sorted(maps.Keys(raw.Env)) {
		f.Env = append(f.Env, key+"="+raw.Env[key])
	}
	return f
}

// missing says what is wrong with the program of f, if it names one.
func (f Function) missing() string {
	if len(f.Command) == 0 {
		return ""
	}
	info, err := os.Stat(f.commandLine()[0])
	switch {
	case err != nil:
		return fmt.Sprintf("the program %q is not there", f.Command[0])
	case info.IsDir() || info.Mode()&0o111 == 0:
		return fmt.Sprintf("%q is not an executable file", f.Command[0])
	}
	return ""
}

// within makes a path of the file absolute; empty stays empty.
func within(dir, path string) string {
	if path == "" {
		return ""
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func place(path string, t *token.Token) string {
	if t == nil || t.Position == nil {
		return path + ":1:1"
	}
	return fmt.Sprintf("%s:%d:%d", path, t.Position.Line, t.Position.Column)
}

// find returns the token of a field, or of the nearest field around it.
func find(tree *ast.File, field string) *token.Token {
	for field != "" {
		if p, err := yaml.PathString("$." + field); err == nil {
			if node, err := p.FilterFile(tree); err == nil && node != nil {
				return node.GetToken()
			}
		}
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
	return nil
}

// zipDigest is the SHA-256 of a file as Lambda writes it.
func zipDigest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(sum.Sum(nil)), nil
}
