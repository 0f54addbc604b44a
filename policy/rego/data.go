package rego

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/spillway-dev/spillway"
)

// parseData returns the author's data document, empty without a data file.
func parseData(list []file, faults *LoadError) map[string]any {
	root := map[string]any{}
	if len(list) == 0 {
		return root
	}
	f := list[0]
	for _, other := range list[1:] {
		faults.add(other.path, 0, 0, "there is already %s; keep one data file", f.name)
	}
	var err error
	if strings.HasSuffix(f.name, ".json") {
		err = decodeJSON(f.text, &root)
	} else {
		err = util.Unmarshal([]byte(f.text), &root)
	}
	if err != nil {
		line, col := position(f.text, err)
		faults.add(f.path, line, col, "not a data object: %v", err)
	}
	if root == nil {
		return map[string]any{}
	}
	if _, taken := root["spillway"]; taken {
		faults.add(f.path, 0, 0, "data.spillway is reserved; use another name")
	}
	return root
}

func decodeJSON(text string, into *map[string]any) error {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the object")
	}
	return nil
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// position returns where in text err is, or zeros.
func position(text string, err error) (line, col int) {
	offset := int64(-1)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	}
	if offset >= 0 {
		before := text[:max(0, min(int(offset)-1, len(text)))]
		return strings.Count(before, "\n") + 1, len(before) - strings.LastIndexByte(before, '\n')
	}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
		return line, 1
	}
	return 0, 0
}

// store returns what policies see as data: the author's and the platform's pools.
func store(own map[string]any, p *spillway.Platform) storage.Store {
	pools := map[string]any{}
	if p != nil {
		for _, pool := range p.Pools {
			pools[pool.Name] = map[string]any{
				"kind":   pool.Kind.String(),
				"region": pool.Region,
				"cloud":  pool.Kind.Cloud(),
			}
		}
	}
	root := map[string]any{"spillway": map[string]any{"pools": pools}}
	for name, value := range own {
		if name != "spillway" {
			root[name] = value
		}
	}
	return inmem.NewFromObjectWithOpts(root, inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
}
