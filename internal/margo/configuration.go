package margo

// Configuration says which parameters a user may set and the rules for their
// values (Margo 1.0.0-rc.3, Configuration).
type Configuration struct {
	Sections []Section `yaml:"sections"`
	Schema   []Schema  `yaml:"schema"`
}

// Section groups settings for display.
type Section struct {
	Name     string    `yaml:"name"`
	Settings []Setting `yaml:"settings"`
}

// Setting lets a user set one parameter.
type Setting struct {
	Parameter   string `yaml:"parameter"` // a name in parameters
	Name        string `yaml:"name"`      // for display
	Description string `yaml:"description"`
	Immutable   bool   `yaml:"immutable"` // the value must not change after installation
	Schema      string `yaml:"schema"`    // a name in schema
}

// Schema is the rules that a value must satisfy. Which fields it may have
// depends on DataType and on whether there are Options.
type Schema struct {
	Name         string   `yaml:"name"`
	DataType     string   `yaml:"dataType"`   // string, integer, double, boolean or array[...] of one of these
	AllowEmpty   bool     `yaml:"allowEmpty"` // no value, "" and an empty list are allowed
	MinLength    *int     `yaml:"minLength"`  // in characters
	MaxLength    *int     `yaml:"maxLength"`
	RegexMatch   string   `yaml:"regexMatch"` // RE2, matches anywhere in the value
	MinValue     *float64 `yaml:"minValue"`
	MaxValue     *float64 `yaml:"maxValue"`
	MinPrecision *int     `yaml:"minPrecision"` // digits after the decimal point
	MaxPrecision *int     `yaml:"maxPrecision"`
	Options      []any    `yaml:"options"`     // the values to choose from
	Multiselect  bool     `yaml:"multiselect"` // several options may be chosen; the value is a list
}

// setting returns the setting of a parameter and its schema, nil when users do
// not set it. The description must have been validated.
func (d *ApplicationDescription) setting(parameter string) (*Setting, *Schema) {
	if d.Configuration == nil {
		return nil, nil
	}
	for i := range d.Configuration.Sections {
		settings := d.Configuration.Sections[i].Settings
		for j := range settings {
			if settings[j].Parameter == parameter {
				return &settings[j], d.Configuration.schema(settings[j].Schema)
			}
		}
	}
	return nil, nil
}

func (c *Configuration) schema(name string) *Schema {
	for i := range c.Schema {
		if c.Schema[i].Name == name {
			return &c.Schema[i]
		}
	}
	return nil
}

// validate checks the configuration of a description with these parameters.
func (c *Configuration) validate(p *problems, parameters map[string]Parameter) {
	if len(c.Sections) == 0 {
		p.add("configuration.sections is missing or empty")
	}
	if len(c.Schema) == 0 {
		p.add("configuration.schema is missing or empty")
	}
	schemas := c.validateSchemas(p)
	seen := map[string]bool{}
	for i, section := range c.Sections {
		at := fmtIndex("configuration.sections", i)
		if section.Name == "" {
			p.add("%s.name is missing", at)
		}
		if len(section.Settings) == 0 {
			p.add("%s.settings is missing or empty", at)
		}
		for j, s := range section.Settings {
			s.validate(p, fmtIndex(at+".settings", j), parameters, schemas)
			if seen[s.Parameter] {
				p.add("%s: parameter %.80q has a setting already", fmtIndex(at+".settings", j), s.Parameter)
			}
			seen[s.Parameter] = true
		}
	}
}

// validateSchemas returns the schemas that are sound in themselves, and nil
// for the name of one that is not.
func (c *Configuration) validateSchemas(p *problems) map[string]*Schema {
	schemas := map[string]*Schema{}
	for i := range c.Schema {
		s := &c.Schema[i]
		at := fmtIndex("configuration.schema", i)
		if s.Name == "" {
			p.add("%s.name is missing", at)
		}
		if _, dup := schemas[s.Name]; dup {
			p.add("%s: a second schema is named %.80q", at, s.Name)
		}
		schemas[s.Name] = nil
		if err := s.validate(); err != nil {
			p.add("%s: %v", at, err)
			continue
		}
		schemas[s.Name] = s
	}
	return schemas
}

func (s Setting) validate(p *problems, at string, parameters map[string]Parameter, schemas map[string]*Schema) {
	if s.Name == "" {
		p.add("%s.name is missing", at)
	}
	param, ok := parameters[s.Parameter]
	if !ok {
		p.add("%s: %s", at, unknown("parameter", s.Parameter, parameters))
		return
	}
	schema, ok := schemas[s.Schema]
	switch {
	case !ok:
		p.add("%s: %s", at, unknown("schema", s.Schema, schemas))
	case schema != nil && param.Value != nil:
		if _, err := schema.Accept(param.Value); err != nil {
			p.add("parameters.%s: the default %s %v (schema %.80q)", shortName(s.Parameter), show(param.Value), err, s.Schema)
		}
	}
}
