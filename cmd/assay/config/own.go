package config

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/settings"
	"github.com/assay-registry/assay/verify"
)

// RefuseOwnKeys returns an *[Error] if an authority holds one of the registry's own keys. own maps a key's ID to what it is for.
// The registry's statements about content must never count as somebody's signature on it.
func (c *Config) RefuseOwnKeys(own map[string]string) error {
	var problems []settings.Problem
	for i, a := range c.trust {
		if use := OwnKey(a, own); use != "" {
			problems = append(problems, settings.Problem{Path: fmt.Sprintf("authorities[%d]", i), Hint: "trust the key of whoever signs",
				Message: fmt.Sprintf("the authority %q holds the registry's own %s key, which never speaks for images", a.Name, use)})
		}
	}
	if len(problems) > 0 {
		return &settings.Error{File: c.path, Problems: problems}
	}
	return nil
}

// OwnKey is the use of one of the registry's own keys that stands in an authority's material, whatever its kind; "" if there is none.
func OwnKey(a verify.Authority, own map[string]string) string {
	for _, k := range a.Keys {
		if use, ok := own[k.ID]; ok {
			return use
		}
	}
	keys := pemKeys(a.Roots + "\n" + a.TimestampRoots)
	keys = append(keys, jsonKeys(a.TrustedRoot)...)
	if a.TUF != nil {
		keys = append(keys, jsonKeys(a.TUF.Root)...)
	}
	for _, k := range keys {
		if id, err := verify.KeyID(k); err == nil {
			if use, ok := own[id]; ok {
				return use
			}
		}
	}
	return ""
}

// pemKeys are the public keys of every certificate and key in PEM.
func pemKeys(text string) (keys []crypto.PublicKey) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return keys
		}
		keys = append(keys, derKeys(block.Bytes)...)
	}
}

func derKeys(der []byte) []crypto.PublicKey {
	if cert, err := x509.ParseCertificate(der); err == nil {
		return []crypto.PublicKey{cert.PublicKey}
	}
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		return []crypto.PublicKey{key}
	}
	return nil
}

// maxJSONDepth bounds the walk through a document that somebody else wrote.
const maxJSONDepth = 16

// anyBase64 reads what a reader of protobuf's JSON takes: either alphabet, padded or not.
func anyBase64(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "="))
}

// jsonKeys are the keys in a trusted root or a root.json, wherever they stand: PEM, base64 of DER, or an Ed25519 key in
// hexadecimal, as TUF writes it.
func jsonKeys(text string) (keys []crypto.PublicKey) {
	if text == "" {
		return nil
	}
	var document any
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&document); err != nil {
		return nil // its reader refuses it
	}
	var walk func(v any, depth int)
	walk = func(v any, depth int) {
		if depth > maxJSONDepth {
			return
		}
		switch v := v.(type) {
		case map[string]any:
			for _, member := range v {
				walk(member, depth+1)
			}
		case []any:
			for _, item := range v {
				walk(item, depth+1)
			}
		case string:
			keys = append(keys, pemKeys(v)...)
			if der, err := anyBase64(v); err == nil {
				keys = append(keys, derKeys(der)...)
			}
			if raw, err := hex.DecodeString(v); err == nil && len(raw) == ed25519.PublicKeySize {
				keys = append(keys, ed25519.PublicKey(raw))
			}
		}
	}
	walk(document, 0)
	return keys
}
