package rules

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/assay-registry/assay/cmd/assay/follow"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/bundle"
	"github.com/assay-registry/assay/store"
)

// ReadArtifact reads what a manifest of this registry holds. Who signed it is somebody else's question.
func ReadArtifact(ctx context.Context, repo *follow.Repository, d store.Digest) (*policy.PolicySource, error) {
	content, err := repo.Local.ReadContent(ctx, d, store.MaxManifest)
	if err != nil {
		return nil, err
	}
	m, err := store.ParseManifest(store.TypeImage, content)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "%s is no manifest of an artifact with policies", d)
	}
	s := &policy.PolicySource{Digest: d}
	if text, ok := m.Annotations[AnnotationRevision]; ok {
		if s.Revision, err = bundle.ParseRevision(text); err != nil {
			return nil, err
		}
	}
	if len(m.Layers) == 1 && m.Layers[0].MediaType == TypePolicyLayer {
		packed, err := repo.Read(ctx, m.Layers[0].Digest, bundle.MaxSize)
		if err != nil {
			return nil, err
		}
		b, err := bundle.Read(bytes.NewReader(packed))
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
func conftestFiles(ctx context.Context, repo *follow.Repository, s *policy.PolicySource, layers []store.Descriptor) error {
	if len(layers) > MaxPolicyFiles {
		return store.Errorf(store.CodeInvalid, "it holds more than %d files", MaxPolicyFiles)
	}
	s.Files = map[string]string{}
	for i, l := range layers {
		name := l.Annotations[AnnotationTitle]
		switch {
		case l.MediaType == TypeConftestData:
			name = bundle.DataFile
		case l.MediaType != TypeConftest:
			return store.Errorf(store.CodeInvalid, "it holds a layer of type %.80q: policies are one layer of type %s, or layers of type %s", l.MediaType, TypePolicyLayer, TypeConftest)
		case name == "":
			name = fmt.Sprintf("layer%d.rego", i)
		}
		if _, twice := s.Files[name]; twice {
			return store.Errorf(store.CodeInvalid, "it holds %.80q twice", name)
		}
		text, err := repo.Read(ctx, l.Digest, MaxPolicyFile)
		if err != nil {
			return err
		}
		s.Files[name] = string(text)
	}
	if !slices.ContainsFunc(layers, func(l store.Descriptor) bool { return l.MediaType == TypeConftest }) {
		return store.Errorf(store.CodeInvalid, "it holds no policy")
	}
	return nil
}
