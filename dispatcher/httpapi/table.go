package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
)

// table writes a JSON document as two columns, path and value, in its own order.
// It keeps what it does not know: records of older versions explain themselves.
func table(text json.RawMessage) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := rows(t, d, ""); err != nil {
		return string(text) + "\n"
	}
	_ = t.Flush() // a strings.Builder takes everything
	return b.String()
}

// rows writes the next value of d, whose path is given.
func rows(t *tabwriter.Writer, d *json.Decoder, path string) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		return members(t, d, path)
	case json.Delim('['):
		return elements(t, d, path)
	case nil, "":
		return nil
	}
	_, err = fmt.Fprintf(t, "%s\t%s\n", path, plainText(fmt.Sprint(token)))
	return err
}

func members(t *tabwriter.Writer, d *json.Decoder, path string) error {
	if path != "" {
		path += "."
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if err := rows(t, d, path+plainText(fmt.Sprint(name))); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func elements(t *tabwriter.Writer, d *json.Decoder, path string) error {
	for i := 1; d.More(); i++ {
		if err := rows(t, d, path+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// plainText quotes s if it could move the cursor of a terminal or break a row.
func plainText(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
