package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on what is parsed at all; beyond them the parser may take more than its
// share of time or stack.
const (
	maxFileBytes      = 1 << 20
	maxDocumentTokens = 100_000
	maxFlowDepth      = 32
	maxIndent         = 200
	maxDocuments      = 20_000
	maxRun            = 16  // indicators in a row on a line: "- - - -", "? ? ?", "&a &b"
	maxEmptyValues    = 100 // keys without a value, each of which is a fault anyway
)

// parse returns the documents of a file, or the one fault of a file that does
// not parse.
func parse(file string, content []byte) (docs []*ast.DocumentNode, fault *Fault) {
	if fault := checkText(file, content); fault != nil {
		return nil, fault
	}
	defer func() {
		if p := recover(); p != nil {
			docs, fault = nil, &Fault{File: file, Line: 1, Col: 1, Problem: "not YAML that can be read"}
		}
	}()
	tokens := lexer.Tokenize(string(content))
	if at, problem := checkShape(tokens); problem != "" {
		return nil, &Fault{File: file, Line: at.Line, Col: at.Column, Problem: problem}
	}
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxFault(file, err)
	}
	return parsed.Docs, nil
}

// checkText refuses what is not plain text.
func checkText(file string, content []byte) *Fault {
	if len(content) > maxFileBytes {
		return &Fault{File: file, Line: 1, Col: 1, Problem: fmt.Sprintf("the file has %d bytes", len(content)),
			Allowed: "at most 1 MiB; split it into several files"}
	}
	line, col := 1, 1
	for i := 0; i < len(content); {
		r, size := utf8.DecodeRune(content[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return &Fault{File: file, Line: line, Col: col, Problem: "not UTF-8 text"}
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r == 0x7f:
			return &Fault{File: file, Line: line, Col: col, Problem: fmt.Sprintf("control character U+%04X", r)}
		}
		if col++; r == '\n' {
			line, col = line+1, 1
		}
		i += size
	}
	return nil
}

// checkShape refuses token sequences that are too large or too deep to parse.
func checkShape(tokens token.Tokens) (*token.Position, string) {
	var s shape
	for _, tk := range tokens {
		if problem := s.next(tk); problem != "" {
			return tk.Position, problem
		}
	}
	return nil, ""
}

type shape struct {
	documents, tokens, depth, run, line, empty int
	last                                       *token.Token
	keyColumn                                  int
}

func (s *shape) next(tk *token.Token) string {
	newLine := tk.Position.Line != s.line
	s.count(tk, newLine)
	s.line = tk.Position.Line
	s.emptyValue(tk, newLine)
	s.last = tk
	switch {
	case s.tokens > maxDocumentTokens:
		return fmt.Sprintf("the document has more than %d parts; split it", maxDocumentTokens)
	case s.documents > maxDocuments:
		return fmt.Sprintf("the file has more than %d documents; split it", maxDocuments)
	case s.depth > maxFlowDepth:
		return fmt.Sprintf("brackets nest deeper than %d", maxFlowDepth)
	case s.run > maxRun:
		return fmt.Sprintf("more than %d indicators in a row", maxRun)
	case newLine && tk.Position.Column > maxIndent && tk.Type != token.CommentType:
		return fmt.Sprintf("indented by more than %d characters", maxIndent)
	case s.empty > maxEmptyValues:
		return fmt.Sprintf("more than %d keys without a value", maxEmptyValues)
	}
	return ""
}

func (s *shape) count(tk *token.Token, newLine bool) {
	s.tokens++
	if newLine {
		s.run = 0
	}
	switch tk.Type {
	case token.DocumentHeaderType, token.DocumentEndType:
		s.documents++
		s.tokens, s.depth = 0, 0
	case token.SequenceStartType, token.MappingStartType:
		s.depth++
	case token.SequenceEndType, token.MappingEndType:
		s.depth--
	}
	switch tk.Type {
	case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
		s.run++
	default:
		// An anchor is followed by its name, which does not end the run.
		if s.last == nil || s.last.Type != token.AnchorType {
			s.run = 0
		}
	}
}

// emptyValue counts "key:" followed by nothing that could be its value.
func (s *shape) emptyValue(tk *token.Token, newLine bool) {
	if s.last != nil && s.last.Type == token.MappingValueType {
		s.keyColumn = 0
		if p := s.last.Prev; p != nil {
			s.keyColumn = p.Position.Column
		}
		closes := tk.Type == token.CollectEntryType || tk.Type == token.MappingEndType || tk.Type == token.MappingValueType
		if closes || newLine && tk.Position.Column <= s.keyColumn && tk.Type != token.SequenceEntryType {
			s.empty++
		}
	}
}

func syntaxFault(file string, err error) *Fault {
	f := &Fault{File: file, Line: 1, Col: 1, Problem: "not YAML that can be read"}
	var located yaml.Error
	if errors.As(err, &located) {
		f.Problem = "not valid YAML: " + strings.Map(visible, located.GetMessage())
		if tk := located.GetToken(); tk != nil && tk.Position != nil {
			f.Line, f.Col = max(tk.Position.Line, 1), max(tk.Position.Column, 1)
		}
	}
	return f
}

// visible keeps a message on one line.
func visible(r rune) rune {
	switch {
	case r == '\t':
		return '␉'
	case unicode.IsControl(r):
		return ' '
	}
	return r
}
