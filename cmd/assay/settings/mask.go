package settings

import (
	"net/url"
	"strings"
)

// Masked stands for a value that is not shown.
const Masked = "********"

// MaskURL leaves the host of a URL alone, whose path may be a secret.
func MaskURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || (u.Path == "" || u.Path == "/") && u.RawQuery == "" && u.Fragment == "" {
		return s
	}
	return u.Scheme + "://" + u.Host + "/" + Masked
}

// Mask is a copy of what a document may hold, without the values whose names speak of a secret.
func Mask(v any) any {
	switch v := v.(type) {
	case map[string]any:
		masked := make(map[string]any, len(v))
		for name, value := range v {
			if secret(name) {
				masked[name] = Masked
			} else {
				masked[name] = Mask(value)
			}
		}
		return masked
	case []any:
		masked := make([]any, len(v))
		for i, value := range v {
			masked[i] = Mask(value)
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
