package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// Policies as an artifact: the registry's own form is one layer, a bundle; conftest's is a layer for each module and document.
const (
	typePolicy       = "application/vnd.assay.policy.v1"
	typePolicyLayer  = "application/vnd.assay.policy.v1.tar+gzip"
	typeConftest     = "application/vnd.cncf.openpolicyagent.policy.layer.v1+rego"
	typeConftestData = "application/vnd.cncf.openpolicyagent.data.layer.v1+json"
	// annotationRevision is a decimal number of 1 and up, by which one sees what is newer. The signature covers it, with the manifest.
	annotationRevision = "vnd.assay.policy.revision"
	annotationTitle    = "org.opencontainers.image.title"
)

// readBundle reads a bundle from a file, with its signature checked under the key in another, unless that is asked to be left out by name.
func readBundle(ref, keyFile string) (*policy.PolicySource, error) {
	path := strings.TrimPrefix(ref, refBundle)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	packed, err := io.ReadAll(io.LimitReader(f, engine.MaxBundle+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	b, err := engine.ReadBundle(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s := &policy.PolicySource{Ref: ref, Digest: store.DigestOf(digest.SHA256, packed), Revision: b.Revision, Files: b.Files, SignedBy: keyFile}
	if keyFile == config.Unsigned {
		s.Revision = max(s.Revision, 1) // whoever writes the file writes the number
		return s, nil
	}
	key, err := readBounded(keyFile)
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

// artifactPolicies reads what a manifest of this registry holds. Who signed it is somebody else's question.
func artifactPolicies(ctx context.Context, repo *ownRepository, d store.Digest) (*policy.PolicySource, error) {
	content, err := repo.local.ReadContent(ctx, d, store.MaxManifest)
	if err != nil {
		return nil, err
	}
	m, err := store.ParseManifest(store.TypeImage, content)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "%s is no manifest of an artifact with policies", d)
	}
	s := &policy.PolicySource{Digest: d}
	if text, ok := m.Annotations[annotationRevision]; ok {
		if s.Revision, err = engine.ParseRevision(text); err != nil {
			return nil, err
		}
	}
	if len(m.Layers) == 1 && m.Layers[0].MediaType == typePolicyLayer {
		packed, err := repo.open(ctx, m.Layers[0].Digest, engine.MaxBundle)
		if err != nil {
			return nil, err
		}
		b, err := engine.ReadBundle(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		if s.Revision != 0 && b.Revision != 0 && s.Revision != b.Revision {
			return nil, store.Errorf(store.CodeInvalid, "the manifest says revision %d and the bundle in it %d", s.Revision, b.Revision)
		}
		s.Files, s.Revision = b.Files, max(s.Revision, b.Revision)
		return s, nil
	}
	return s, conftestFiles(ctx, repo, s, m.Layers)
}

// conftestFiles reads modules and parameters that are a layer each.
func conftestFiles(ctx context.Context, repo *ownRepository, s *policy.PolicySource, layers []store.Descriptor) error {
	if len(layers) > maxPolicyFiles {
		return store.Errorf(store.CodeInvalid, "it holds more than %d files", maxPolicyFiles)
	}
	s.Files = map[string]string{}
	for i, l := range layers {
		name := l.Annotations[annotationTitle]
		switch {
		case l.MediaType == typeConftestData:
			name = engine.DataFile
		case l.MediaType != typeConftest:
			return store.Errorf(store.CodeInvalid, "it holds a layer of type %.80q: policies are one layer of type %s, or layers of type %s", l.MediaType, typePolicyLayer, typeConftest)
		case name == "":
			name = fmt.Sprintf("layer%d.rego", i)
		}
		if _, twice := s.Files[name]; twice {
			return store.Errorf(store.CodeInvalid, "it holds %.80q twice", name)
		}
		text, err := repo.open(ctx, l.Digest, maxPolicyFile)
		if err != nil {
			return err
		}
		s.Files[name] = string(text)
	}
	if !slices.ContainsFunc(layers, func(l store.Descriptor) bool { return l.MediaType == typeConftest }) {
		return store.Errorf(store.CodeInvalid, "it holds no policy")
	}
	return nil
}

// open reads a blob that the repository holds.
func (r *ownRepository) open(ctx context.Context, d store.Digest, limit int64) ([]byte, error) {
	b, err := r.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	content, err := io.ReadAll(io.LimitReader(b, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = store.Errorf(store.CodeInvalid, "the blob %s has more than %d MiB, too much for policies", d, limit>>20)
	}
	return content, err
}
