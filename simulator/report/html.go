package report

import (
	"bufio"
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/spillway-dev/spillway/internal/safetext"
)

//go:embed page.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// htmlPage is what the template shows.
type htmlPage struct {
	Title, Lead, Platform string
	Facts                 []field
	Notes                 []string
	Parts                 []htmlPart
}

type htmlPart struct {
	Head       string
	Facts      []field
	Lead, Text []string // paragraphs before figures, and after tables
	Figures    []figure
	Tables     []htmlTable
	List       []string
	Fields     []field
}

type htmlTable struct {
	Head       []string
	Rows, Foot [][]string
	Text       int // a further column that is text; 0: none
	Note       string
}

const pageLines = 200 // of a list

// HTML writes a page with plots. It refers to nothing outside of itself and needs no
// scripts.
func HTML(w io.Writer, v *View) error {
	s, err := newSheet(v)
	if err != nil {
		return err
	}
	doc := htmlPage{
		Title: "Simulation of " + or(safetext.Line(v.Meta.Trace), "a trace"), Lead: s.accounted() + ".", Platform: v.Meta.Platform,
		Facts: s.facts(), Notes: s.notes(),
	}
	for _, fill := range []func() (htmlPart, error){s.whenPart, s.wherePage, s.waitPage, s.costPage, s.departmentPage, s.runPage} {
		part, err := fill()
		if err != nil {
			return err
		}
		if len(part.Figures)+len(part.Tables)+len(part.List)+len(part.Fields) > 0 {
			doc.Parts = append(doc.Parts, part)
		}
	}
	if len(v.Meta.Warnings) > 0 {
		doc.Parts = append(doc.Parts, htmlPart{Head: "Warnings", List: first(v.Meta.Warnings, pageLines)})
	}
	if len(v.Meta.Skipped) > 0 {
		part := htmlPart{Head: "Not taken from the trace"}
		for i := range v.Meta.Skipped {
			part.List = append(part.List, skip(&v.Meta.Skipped[i]))
		}
		part.List = first(part.List, pageLines)
		doc.Parts = append(doc.Parts, part)
	}
	if v.Preface != nil {
		if err := doc.preface(v.Preface); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(w)
	if err := pageTemplate.Execute(out, doc); err != nil {
		return fmt.Errorf("write report as HTML: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write report as HTML: %w", err)
	}
	return nil
}
