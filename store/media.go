package store

import (
	"encoding/json"
	"strings"
)

// Media types of configs and layers that decide how a manifest is treated.
const (
	TypeEmpty             = "application/vnd.oci.empty.v1+json"
	TypeImageConfig       = "application/vnd.oci.image.config.v1+json"
	TypeDockerImageConfig = "application/vnd.docker.container.image.v1+json"

	typeDockerPrefix      = "application/vnd.docker.distribution.manifest.v1+"
	typeNonDistributable  = "application/vnd.oci.image.layer.nondistributable.v1."
	typeDockerForeign     = "application/vnd.docker.image.rootfs.foreign.diff."
	maxMediaType          = 255
	maxMediaTypeComponent = 127
)

// ManifestType reports whether t is one of the four manifest types that the registry takes.
func ManifestType(t string) bool {
	return t == TypeImage || t == TypeIndex || t == TypeDockerImage || t == TypeDockerList
}

// ImageConfigType reports whether t names an image config, OCI or Docker.
func ImageConfigType(t string) bool { return t == TypeImageConfig || t == TypeDockerImageConfig }

// Foreign reports whether d is a non-distributable layer (image-spec, layer.md) or a foreign one of Docker that says where its content is.
// Such a layer may be absent. The registry keeps the URLs and never fetches them.
func Foreign(d Descriptor) bool {
	return len(d.URLs) > 0 && (strings.HasPrefix(d.MediaType, typeNonDistributable) || strings.HasPrefix(d.MediaType, typeDockerForeign))
}

// Kind says what the manifest is by its types alone: image, index or artifact. Whether it is evidence or an attestation is decided by
// bytes, in package referrers; whether an artifact would run as an image, by [Parsed.KindOf].
func (p *Parsed) Kind() Kind {
	switch {
	case p.Index():
		return KindIndex
	case p.Config != nil && (ImageConfigType(p.Config.MediaType) || p.MediaType == TypeDockerImage && lenientConfigType(p.Config.MediaType)):
		return KindImage
	}
	return KindArtifact
}

// lenientConfigType is what Docker runs as an image too, since early clients wrote it.
func lenientConfigType(t string) bool {
	return t == "application/octet-stream" || t == "application/json" || t == "text/html"
}

// KindOf is [Parsed.Kind] with the config's bytes at hand. Runtimes unpack a manifest whose config lists layers whatever type it claims, so
// it is an image as soon as a lenient reader finds rootfs.diff_ids there: otherwise a label would take it out of the rules for images.
func (p *Parsed) KindOf(config []byte) Kind {
	kind := p.Kind()
	if kind != KindArtifact {
		return kind
	}
	var c struct {
		RootFS struct {
			DiffIDs []any `json:"diff_ids"`
		} `json:"rootfs"`
	}
	// Deliberately encoding/json as the runtimes use it: case folding, last key wins. Whatever it filled in before an error counts.
	_ = json.Unmarshal(config, &c)
	if len(c.RootFS.DiffIDs) > 0 {
		return KindImage
	}
	return KindArtifact
}

// ValidMediaType reports whether s is type "/" subtype as in RFC 6838 section 4.2, at most 255 characters, with optional printable parameters
// (sigstore writes ";version=0.3").
func ValidMediaType(s string) bool {
	if len(s) > maxMediaType {
		return false
	}
	base, params, has := strings.Cut(s, ";")
	if has && !validParams(params) {
		return false
	}
	major, minor, ok := strings.Cut(base, "/")
	return ok && restrictedName(major) && restrictedName(minor)
}

func validParams(s string) bool {
	if !strings.Contains(s, "=") {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func restrictedName(s string) bool {
	if s == "" || len(s) > maxMediaTypeComponent {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := alnum(c) || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || strings.IndexByte("!#$&-^_.+", c) < 0) {
			return false
		}
	}
	return true
}
