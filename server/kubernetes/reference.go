package kubernetes

import (
	"fmt"
	"strings"

	"github.com/assay-registry/assay/store"
)

// Reference is an image as a cluster's runtime reads it.
type Reference struct {
	Host       string // lower case; docker.io where the image names none
	Repository store.Name
	Tag        string // as written; "latest" where neither tag nor digest is
	Digest     store.Digest
}

// dockerHub is the registry of an image that names none.
const dockerHub = "docker.io"

// ParseReference reads an image name by the rules of the container runtimes (distribution/reference, ParseDockerRef): the part before the first slash is a host if it has a dot
// or a colon, is "localhost", or has an upper-case letter; hosts are compared without regard to case. A digest beside a tag decides.
func ParseReference(image string) (Reference, error) {
	if len(image) > maxReference {
		return Reference{}, fmt.Errorf("the image name has more than %d characters", maxReference)
	}
	r := Reference{Host: dockerHub}
	rest := image
	if first, after, ok := strings.Cut(image, "/"); ok && (strings.ContainsAny(first, ".:") || first == "localhost" || first != strings.ToLower(first)) {
		r.Host, rest = strings.ToLower(first), after
	}
	rest, digest, pinned := strings.Cut(rest, "@")
	if pinned {
		d, err := store.ParseDigest(digest)
		if err != nil {
			return r, fmt.Errorf("the image %.200q has a malformed digest", image)
		}
		r.Digest = d
	}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		if r.Tag = rest[i+1:]; !store.ValidTag(r.Tag) {
			return r, fmt.Errorf("the image %.200q has a malformed tag", image)
		}
		rest = rest[:i]
	}
	if r.Host == "index.docker.io" {
		r.Host = dockerHub
	}
	if r.Host == dockerHub && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	if r.Tag == "" && r.Digest == "" {
		r.Tag = "latest"
	}
	name, err := store.ParseName(rest)
	if err != nil {
		return r, fmt.Errorf("the image %.200q names no repository that can exist", image)
	}
	r.Repository = name
	return r, nil
}

// Pinned is the image by digest; the tag stays for whoever reads it, and runtimes pull the digest.
func (r Reference) Pinned(d store.Digest) string {
	s := r.Host + "/" + string(r.Repository)
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	return s + "@" + string(d)
}
