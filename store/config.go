package store

import (
	"encoding/json"
	"strings"
	"time"
)

// MaxImageConfig is the most bytes of an image config that is read for a policy or given to an uploader.
const MaxImageConfig = 1 << 20

const (
	maxDiffIDs    = MaxLayers
	maxConfigList = 4096 // entries of Entrypoint, Cmd, Env, Labels, ExposedPorts
)

// ImageConfig is the part of an image config (image-spec, config.md) that rules read. Values of the environment are never kept.
type ImageConfig struct {
	OS           string
	Architecture string
	Variant      string
	Created      time.Time // zero where the config has none
	User         string
	Entrypoint   []string
	Cmd          []string
	EnvNames     []string
	Labels       map[string]string
	ExposedPorts []string // as "8080/tcp", in the config's order
	DiffIDs      []Digest
}

type configJSON struct {
	OS           string          `json:"os"`
	Architecture string          `json:"architecture"`
	Variant      string          `json:"variant"`
	Created      *time.Time      `json:"created"`
	RootFS       *rootFSJSON     `json:"rootfs"`
	Config       *execConfigJSON `json:"config"`
}

type rootFSJSON struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type execConfigJSON struct {
	User         string            `json:"User"`
	Entrypoint   []string          `json:"Entrypoint"`
	Cmd          []string          `json:"Cmd"`
	Env          []string          `json:"Env"`
	Labels       map[string]string `json:"Labels"`
	ExposedPorts json.RawMessage   `json:"ExposedPorts"`
}

// ParseImageConfig reads an image config strictly: one JSON object of at most MaxImageConfig bytes with rootfs of type "layers", whose diff_ids
// are digests. Unknown fields are ignored, os and architecture may be empty (cosign writes that). Errors: CodeManifestInvalid.
func ParseImageConfig(b []byte) (*ImageConfig, error) {
	if len(b) > MaxImageConfig {
		return nil, invalid("an image config has at most %d bytes, this one has %d; move labels and history elsewhere", MaxImageConfig, len(b))
	}
	var j configJSON
	if err := DecodeJSON(b, &j); err != nil {
		if e, ok := typeError(err); ok {
			return nil, invalid("the image config's field %.100q cannot be a JSON %.40s; compare it with the OCI image specification", e.Field, e.Value)
		}
		return nil, invalid("the image config is not strict JSON (%.150s); rebuild the image with a current tool", err.Error())
	}
	if j.RootFS == nil || j.RootFS.Type != "layers" {
		return nil, invalid("the image config has no rootfs of type \"layers\"; rebuild the image with a current tool")
	}
	c := &ImageConfig{OS: j.OS, Architecture: j.Architecture, Variant: j.Variant}
	if j.Created != nil {
		c.Created = *j.Created
	}
	if len(j.RootFS.DiffIDs) > maxDiffIDs {
		return nil, invalid("an image config has at most %d diff_ids, this one has %d; merge some layers", maxDiffIDs, len(j.RootFS.DiffIDs))
	}
	for i, s := range j.RootFS.DiffIDs {
		d, err := ParseDigest(s)
		if err != nil {
			return nil, invalid("rootfs.diff_ids[%d] of the image config is no digest; rebuild the image with a current tool", i)
		}
		c.DiffIDs = append(c.DiffIDs, d)
	}
	if j.Config == nil {
		return c, nil
	}
	if err := j.Config.fill(c); err != nil {
		return nil, err
	}
	return c, nil
}

func (x *execConfigJSON) fill(c *ImageConfig) error {
	c.User, c.Entrypoint, c.Cmd, c.Labels = x.User, x.Entrypoint, x.Cmd, x.Labels
	for _, e := range x.Env {
		name, _, _ := strings.Cut(e, "=")
		c.EnvNames = append(c.EnvNames, name)
	}
	if len(x.ExposedPorts) > 0 && string(x.ExposedPorts) != "null" {
		err := Members(x.ExposedPorts, func(port string, _ []byte) error {
			c.ExposedPorts = append(c.ExposedPorts, port)
			return nil
		})
		if err != nil {
			return invalid("ExposedPorts of the image config is no JSON object; rebuild the image with a current tool")
		}
	}
	if max(len(x.Entrypoint), len(x.Cmd), len(x.Env), len(x.Labels), len(c.ExposedPorts)) > maxConfigList {
		return invalid("a list in the image config has more than %d entries; shorten it", maxConfigList)
	}
	return nil
}
