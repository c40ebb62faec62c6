package composefile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/consign-dev/consign/internal/reason"
)

// Encode writes a resolved project as JSON in Compose's own form: keys sorted,
// two-space indent. The same project gives the same bytes, and [Decode] of
// them gives the same project; Encode proves the latter before it returns.
func Encode(ctx context.Context, p *types.Project) ([]byte, error) {
	data, err := p.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode project: %w", err)
	}
	if _, err := Decode(ctx, data, p.Name); err != nil {
		return nil, err
	}
	return data, nil
}

// Decode reads what [Encode] wrote, interpreting nothing: "$" is a dollar sign
// and no file, variable or default enters. It insists that encoding the result
// gives data again, so that the project that runs is the one that was checked.
func Decode(ctx context.Context, data []byte, name string) (p *types.Project, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, reason.New(reason.Malformed, "render: not a Compose project: %v", r)
		}
	}()
	tree, err := jsonTree(data)
	if err != nil {
		return nil, reason.Wrap(reason.Malformed, fmt.Errorf("render: %w", short(err)))
	}
	if tree["name"] != name {
		return nil, reason.New(reason.Conflict, "render: is of project %q, not %q", tree["name"], name)
	}
	details := types.ConfigDetails{
		WorkingDir:  workingDir,
		ConfigFiles: []types.ConfigFile{{Filename: ComposeFile, Config: tree}},
		Environment: types.Mapping{},
	}
	p, err = loader.LoadWithContext(ctx, details, sealed, func(o *loader.Options) {
		o.SetProjectName(name, true)
		o.SkipInterpolation = true
		o.SkipExtends = true
	})
	if err != nil {
		return nil, reason.Wrap(reason.Render, fmt.Errorf("render: %w", err))
	}
	again, err := p.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode project: %w", err)
	}
	if !bytes.Equal(again, data) {
		return nil, reason.New(reason.Render, "render: reads back as another project: %s", firstDifference(data, again))
	}
	return p, nil
}

// jsonTree decodes with encoding/json, since compose-go would read the bytes
// as YAML, which differs from JSON in what strings may hold. compose-go
// expects whole numbers as int.
func jsonTree(data []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var tree map[string]any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data after the JSON value")
	}
	out, err := plainNumbers(tree)
	if err != nil {
		return nil, err
	}
	return out.(map[string]any), nil
}

func plainNumbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n, nil
		}
		return v.Float64()
	case map[string]any:
		for k := range v {
			if v[k], err = plainNumbers(v[k]); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = plainNumbers(v[i]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// firstDifference names the first line in which two encodings differ.
func firstDifference(a, b []byte) string {
	la, lb := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range min(len(la), len(lb)) {
		if !bytes.Equal(la[i], lb[i]) {
			return fmt.Sprintf("line %d was %q, is %q", i+1, bytes.TrimSpace(la[i]), bytes.TrimSpace(lb[i]))
		}
	}
	return fmt.Sprintf("%d lines became %d", len(la), len(lb))
}
