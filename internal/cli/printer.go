package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

const outputFlag = "output"

// format is the value of --output; the zero value is text.
type format string

const (
	text     format = "text"
	jsonForm format = "json"
)

func (f *format) String() string {
	if *f == "" {
		return string(text)
	}
	return string(*f)
}

func (f *format) Type() string { return "format" }

func (f *format) Set(s string) error {
	if s != string(text) && s != string(jsonForm) {
		return fmt.Errorf("must be text or json")
	}
	*f = format(s)
	return nil
}

// wantsJSON also reads the raw arguments: a command line that cobra could not
// parse is reported in the form that it asked for.
func wantsJSON(root *cobra.Command, args []string) bool {
	if root.PersistentFlags().Lookup(outputFlag).Value.String() == string(jsonForm) {
		return true
	}
	joined := " " + strings.Join(args, " ") + " "
	return strings.Contains(joined, " --output json ") || strings.Contains(joined, " --output=json ")
}

// Printer prints the result of a command to stdout in the form that --output
// asks for.
type Printer struct {
	out    io.Writer
	asJSON bool
}

// Out is the printer of cmd, which must belong to a tree made with [Root].
func Out(cmd *cobra.Command) *Printer {
	return &Printer{out: cmd.OutOrStdout(), asJSON: cmd.Flag(outputFlag).Value.String() == string(jsonForm)}
}

// JSON reports whether results are printed as JSON.
func (p *Printer) JSON() bool { return p.asJSON }

// Print prints one result: v as one JSON object on one line, or what text
// writes. Text may contain names that others chose: characters that a terminal
// acts upon are escaped, line ends and tabs are not, so a single such name goes
// through [Safe] first.
func (p *Printer) Print(v any, text func(w io.Writer)) error {
	var line []byte
	if p.asJSON {
		var err error
		if line, err = marshal(v); err != nil {
			return err
		}
	} else {
		var buf bytes.Buffer
		text(&buf)
		line = []byte(safeText(buf.String()))
	}
	if _, err := p.out.Write(line); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// marshal writes v as one line of JSON. Characters that encoding/json leaves
// as they are but a terminal acts upon are written as \uXXXX: the same
// document, harmless to look at.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return []byte(safeText(buf.String())), nil
}
