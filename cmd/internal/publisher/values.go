package publisher

import (
	"fmt"
	"maps"

	"github.com/spf13/cobra"

	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/strictyaml"
)

// valueFlags give the parameters of an order.
type valueFlags struct {
	file         string
	set, secrets []string
}

func (f *valueFlags) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "values", "", "YAML `FILE` that maps names of parameters to values, each a text in quotes; not seen in the list of processes, as --set is")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "`NAME=VALUE` of a parameter, over --values; repeatable")
	cmd.Flags().StringArrayVar(&f.secrets, "secret", nil, "`PARAMETER=NAME` of a file on the device that holds a secret parameter's value; repeatable")
}

// read puts what the flags say into an order.
func (f *valueFlags) read(order *publish.DeployInput) error {
	var err error
	if order.Values, err = f.values(); err != nil {
		return err
	}
	order.Secrets, err = readAssignments("--secret", f.secrets)
	return err
}

func (f *valueFlags) values() (map[string]string, error) {
	set, err := readAssignments("--set", f.set)
	if err != nil || f.file == "" {
		return set, err
	}
	data, err := durable.ReadFile(f.file, bundle.MaxDocumentBytes)
	if err != nil {
		return nil, fmt.Errorf("read values: %w", err)
	}
	values := map[string]string{}
	if err := strictyaml.Unmarshal(data, &values, strictyaml.Default); err != nil {
		return nil, fmt.Errorf("%s: %w", f.file, err)
	}
	maps.Copy(values, set)
	return values, nil
}
