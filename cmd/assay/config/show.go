package config

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAML writes the effective configuration: it loads again to the same. Parameters of policies whose names speak of a secret are masked, and what follows the host where events are posted to.
func (c *Config) YAML() ([]byte, error) {
	shown := *c
	shown.Policies = make([]Policy, len(c.Policies))
	for i, p := range c.Policies {
		p.Params, _ = mask(map[string]any(p.Params)).(map[string]any)
		shown.Policies[i] = p
	}
	shown.Notify = slices.Clone(c.Notify)
	for i := range shown.Notify {
		shown.Notify[i].URL = maskURL(shown.Notify[i].URL)
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(presentable(shown)); err != nil {
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

// Masked stands for a value that is not shown.
const Masked = "********"

// maskURL leaves the host of a URL alone, whose path may be a secret.
func maskURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || (u.Path == "" || u.Path == "/") && u.RawQuery == "" && u.Fragment == "" {
		return s
	}
	return u.Scheme + "://" + u.Host + "/" + Masked
}

func mask(v any) any {
	switch v := v.(type) {
	case map[string]any:
		masked := make(map[string]any, len(v))
		for name, value := range v {
			if secret(name) {
				masked[name] = Masked
			} else {
				masked[name] = mask(value)
			}
		}
		return masked
	case []any:
		masked := make([]any, len(v))
		for i, value := range v {
			masked[i] = mask(value)
		}
		return masked
	default:
		return v
	}
}

func secret(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"secret", "password", "passwd", "token", "credential", "private"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
