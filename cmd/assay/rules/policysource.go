package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/bundle"
	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// Policies as an artifact: the registry's own form is one layer, a bundle; conftest's is a layer for each module and document.
const (
	TypePolicy       = "application/vnd.assay.policy.v1"
	TypePolicyLayer  = "application/vnd.assay.policy.v1.tar+gzip"
	TypeConftest     = "application/vnd.cncf.openpolicyagent.policy.layer.v1+rego"
	TypeConftestData = "application/vnd.cncf.openpolicyagent.data.layer.v1+json"
	// AnnotationRevision is a decimal number of 1 and up, by which one sees what is newer. The signature covers it, with the manifest.
	AnnotationRevision = "vnd.assay.policy.revision"
	AnnotationTitle    = "org.opencontainers.image.title"
)

// ReadBundle reads a bundle from a file, with its signature checked under the key in another, unless that is asked to be left out by name.
func ReadBundle(ref, keyFile string) (*policy.PolicySource, error) {
	path := strings.TrimPrefix(ref, BundlePrefix)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	packed, err := io.ReadAll(io.LimitReader(f, bundle.MaxSize+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	b, err := bundle.Read(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s := &policy.PolicySource{Ref: ref, Digest: store.DigestOf(digest.SHA256, packed), Revision: b.Revision, Files: b.Files, SignedBy: keyFile}
	if keyFile == config.Unsigned {
		s.Revision = max(s.Revision, 1) // whoever writes the file writes the number
		return s, nil
	}
	key, err := ReadBounded(keyFile)
	if err != nil {
		return nil, err
	}
	if err := b.Verify([]byte(key)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.Revision == 0 {
		return nil, fmt.Errorf("%s: the bundle's .manifest has no revision: a decimal number of 1 and up, by which one sees what is newer", path)
	}
	return s, nil
}
