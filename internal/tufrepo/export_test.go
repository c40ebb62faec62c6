package tufrepo

// SetField writes a signed field that TUF does not know into a targets role.
func (r *Repo) SetField(role, name string, value any) {
	r.roles[role].Signed.UnrecognizedFields[name] = value
}
