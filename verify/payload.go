package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/assay-registry/assay/store"
)

// SimpleSigning is a simple signing payload (containers-signature(5), as cosign writes it).
type SimpleSigning struct {
	Reference   string            // critical.identity.docker-reference, as it stands; may be empty
	Digest      store.Digest      // critical.image.docker-manifest-digest
	Annotations map[string]string // the strings of optional, within MaxAnnotations and MaxText
}

const simpleSigningType = "cosign container image signature"

// ParseSimpleSigning reads a payload strictly: see store.StrictJSON; and, as the format demands, a member of critical that is not known is an error.
// The errors are sentences and repeat nothing of b.
func ParseSimpleSigning(b []byte) (*SimpleSigning, error) {
	var doc struct {
		Critical *struct {
			Identity *struct {
				Reference *string `json:"docker-reference"`
			} `json:"identity"`
			Image *struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
			Type string `json:"type"`
		} `json:"critical"`
		Optional map[string]any `json:"optional"`
	}
	if err := decode(b, &doc); err != nil {
		return nil, err
	}
	c := doc.Critical
	if c == nil || c.Identity == nil || c.Identity.Reference == nil || c.Image == nil {
		return nil, errors.New("the payload lacks critical.identity.docker-reference or critical.image")
	}
	if c.Type != simpleSigningType {
		return nil, fmt.Errorf("critical.type is not %q", simpleSigningType)
	}
	d, err := store.ParseDigest(c.Image.Digest)
	if err != nil {
		return nil, errors.New("critical.image.docker-manifest-digest is no digest")
	}
	if err := knownCritical(b); err != nil {
		return nil, err
	}
	return &SimpleSigning{Reference: *c.Identity.Reference, Digest: d, Annotations: texts(doc.Optional)}, nil
}

// knownCritical refuses what the format calls critical and this parser does not know.
func knownCritical(b []byte) error {
	return store.Members(b, func(key string, value []byte) error {
		if key != "critical" {
			return nil
		}
		return store.Members(value, func(key string, value []byte) error {
			switch key {
			case "type":
				return nil
			case "identity":
				return onlyMember(value, "docker-reference")
			case "image":
				return onlyMember(value, "docker-manifest-digest")
			}
			return errors.New("critical has a member that is not known")
		})
	})
}

func onlyMember(b []byte, name string) error {
	return store.Members(b, func(key string, _ []byte) error {
		if key != name {
			return errors.New("critical has a member that is not known")
		}
		return nil
	})
}

// decode is store.DecodeJSON for a document that must be an object (null would decode to nothing). Its errors repeat nothing of b.
func decode(b []byte, v any) error {
	if trimmed := bytes.TrimLeft(b, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return errors.New("it is no JSON object")
	}
	err := store.DecodeJSON(b, v)
	if _, wrong := errors.AsType[*json.UnmarshalTypeError](err); wrong {
		return errors.New("a member is of the wrong JSON type")
	}
	return err
}

// texts keeps the strings of a map, cut to MaxText, the first MaxAnnotations in the order of their keys; nil if there are none.
func texts(all map[string]any) map[string]string {
	keys := make([]string, 0, len(all))
	for k, v := range all {
		if _, ok := v.(string); ok && k != "" && len(k) <= MaxText {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	kept := make(map[string]string, min(len(keys), MaxAnnotations))
	for _, k := range keys[:min(len(keys), MaxAnnotations)] {
		kept[k] = cut(all[k].(string), MaxText)
	}
	return kept
}

// cut shortens s to at most n bytes without breaking a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
