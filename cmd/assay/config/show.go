package config

import (
	"bytes"
	"encoding/json"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/assay-registry/assay/cmd/assay/settings"
)

// YAML writes the effective configuration: it loads again to the same. Parameters of policies whose names speak of a secret are masked, and what follows the host where events are posted to.
func (c *Config) YAML() ([]byte, error) {
	shown := *c
	shown.Policies = make([]Policy, len(c.Policies))
	for i, p := range c.Policies {
		p.Params, _ = settings.Mask(map[string]any(p.Params)).(map[string]any)
		shown.Policies[i] = p
	}
	shown.Notify = slices.Clone(c.Notify)
	for i := range shown.Notify {
		shown.Notify[i].URL = settings.MaskURL(shown.Notify[i].URL)
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(settings.Present(shown)); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// JSON is the same as one JSON object.
func (c *Config) JSON() ([]byte, error) {
	text, err := c.YAML()
	if err != nil {
		return nil, err
	}
	var value map[string]any
	if err := yaml.Unmarshal(text, &value); err != nil {
		return nil, err
	}
	return json.Marshal(value)
}
