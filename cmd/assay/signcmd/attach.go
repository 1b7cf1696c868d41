package signcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/signer"
)

// Attach makes a signature and attaches it to the subject: among those that stand under the tag, or as a referrer. It tells what the server warns of, such as that nobody
// trusts the key, and answers the digest of the manifest that holds the signature.
func Attach(a *cli.App, ctx context.Context, server *client.Client, repo store.Name, s *Signing, suffix referrers.Suffix, k *signer.Key, subject signer.Subject, make EvidenceMaker) (store.Digest, error) {
	if s.form == formBundle {
		at, err := make.Bundle(k, subject)
		if err != nil {
			return "", err
		}
		return Publish(a, ctx, server, repo, subject, at)
	}
	layer, err := make.Layer(k, subject)
	if err != nil {
		return "", err
	}
	l := list{repo: repo, tag: referrers.TagOf(subject.Digest, suffix).String(), remedy: "sign again, or use --form bundle, which writes to no list"}
	l.holds = func(standing []byte) bool {
		p, err := store.ParseManifest(store.TypeImage, standing)
		return err == nil && slices.ContainsFunc(p.Layers, func(have store.Descriptor) bool {
			return have.Digest == layer.Digest && maps.Equal(have.Annotations, layer.Annotations)
		})
	}
	l.add = func(standing []byte) (*signer.Attachment, error) {
		return signer.Tagged(subject, suffix, standing, layer)
	}
	stored, err := l.extend(ctx, server)
	if err != nil {
		return "", err
	}
	warn(a, stored)
	return stored.Digest, nil
}

// Publish uploads a referrer: its blobs, then the manifest, then, for a registry that does not list referrers itself, the entry in the fallback tag. It tells what the
// server warns of.
func Publish(a *cli.App, ctx context.Context, server *client.Client, repo store.Name, subject signer.Subject, at *signer.Attachment) (store.Digest, error) {
	if err := putBlobs(ctx, server, repo, at); err != nil {
		return "", err
	}
	stored, err := server.PutManifest(ctx, repo, store.Reference{}, at.MediaType, at.Manifest)
	if err != nil {
		return "", err
	}
	warn(a, stored)
	if stored.Listed {
		return stored.Digest, nil
	}
	return stored.Digest, enlist(ctx, server, repo, subject.Digest, stored.Descriptor, at.Manifest)
}

func warn(a *cli.App, stored client.Stored) {
	for _, text := range stored.Warnings {
		a.Warn(text)
	}
}

func putBlobs(ctx context.Context, server *client.Client, repo store.Name, at *signer.Attachment) error {
	for _, b := range at.Blobs {
		if _, err := server.PutBlob(ctx, repo, b); err != nil {
			return err
		}
	}
	return nil
}

// enlist adds a referrer to the fallback index (distribution-spec, "Referrers Tag Schema").
func enlist(ctx context.Context, server *client.Client, repo store.Name, subject store.Digest, d store.Descriptor, manifest []byte) error {
	p, err := store.ParseManifest(d.MediaType, manifest)
	if err != nil {
		return err
	}
	type index struct {
		SchemaVersion int                `json:"schemaVersion"`
		MediaType     string             `json:"mediaType"`
		Manifests     []store.Descriptor `json:"manifests"`
	}
	l := list{repo: repo, tag: referrers.TagOf(subject, referrers.SuffixNone).String(), remedy: "try again"}
	l.holds = func(standing []byte) bool {
		var i index
		return json.Unmarshal(standing, &i) == nil && slices.ContainsFunc(i.Manifests, func(have store.Descriptor) bool { return have.Digest == d.Digest })
	}
	l.add = func(standing []byte) (*signer.Attachment, error) {
		i := index{Manifests: []store.Descriptor{}}
		if standing != nil && json.Unmarshal(standing, &i) != nil {
			return nil, fmt.Errorf("the fallback index %s is not JSON; delete that tag", l.tag)
		}
		if i.SchemaVersion, i.MediaType = 2, store.TypeIndex; standing == nil || !l.holds(standing) {
			i.Manifests = append(i.Manifests, referrers.Descriptor(p, d))
		}
		b, err := json.Marshal(i)
		return &signer.Attachment{MediaType: store.TypeIndex, Manifest: b}, err
	}
	_, err = l.extend(ctx, server)
	return err
}

// list is a manifest under a tag that many add to: each reads it, and writes it back with an entry more.
type list struct {
	repo   store.Name
	tag    string
	holds  func(standing []byte) bool                        // our entry is in it
	add    func(standing []byte) (*signer.Attachment, error) // what to write instead of it; nil where nothing stands there
	remedy string                                            // where it cannot be had
}

// attempts bounds how often others may be in the way. Where the server heeds conditions each of those times one of them added an entry, and a list that took so many is full.
const attempts = verify.MaxLayers

// extend adds our entry, and returns once the server shows it. The server is asked to write only over what was read, so that nobody's entry is lost; as many servers
// do not heed that, the list is read again afterwards, and an entry that somebody overwrote is added again. What we ourselves overwrite there in the moment between
// reading and writing, we cannot see: it is up to its owner to look, as we do.
func (l *list) extend(ctx context.Context, server *client.Client) (stored client.Stored, err error) {
	var before *client.Content
	refused := false // the write over what stood there before
	for n := range attempts + 1 {
		stands, err := l.read(ctx, server)
		if err != nil {
			return stored, err
		}
		if n > 0 && stands != nil && l.holds(stands.Bytes) {
			return stored, nil
		}
		if n == attempts {
			break
		}
		on := stands
		if refused && same(stands, before) { // nobody was in the way: the server means something else by conditions
			on = &client.Content{}
		}
		answer, err := l.write(ctx, server, stands, on)
		if before, refused = stands, status(err) == http.StatusPreconditionFailed; err != nil && !refused {
			return stored, err
		}
		if !refused {
			stored = answer
		}
	}
	return stored, fmt.Errorf("others write to %s of %s all the time, and after %d attempts this is not in it; %s", l.tag, l.repo, attempts, l.remedy)
}

// write puts what stands there with our entry under the tag, on the condition that this is still on.
func (l *list) write(ctx context.Context, server *client.Client, stands, on *client.Content) (client.Stored, error) {
	var earlier []byte
	if stands != nil {
		earlier = stands.Bytes
	}
	at, err := l.add(earlier)
	if err != nil {
		return client.Stored{}, err
	}
	if err := putBlobs(ctx, server, l.repo, at); err != nil {
		return client.Stored{}, err
	}
	return server.ReplaceManifest(ctx, l.repo, l.tag, on, at.MediaType, at.Manifest)
}

// read is what stands under the tag, or nil.
func (l *list) read(ctx context.Context, server *client.Client) (*client.Content, error) {
	stands, err := server.Get(ctx, l.repo, store.Reference{Tag: l.tag})
	if status(err) == http.StatusNotFound {
		return nil, nil
	}
	return stands, err
}

// status is what a server refused with, or 0.
func status(err error) int {
	if refusal, refused := errors.AsType[*client.StatusError](err); refused {
		return refusal.Status
	}
	return 0
}

func same(a, b *client.Content) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Digest == b.Digest
}
