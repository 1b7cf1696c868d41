// Package verifyhere verifies on this machine, by the registry's own verifiers, what lies on any registry or in an OCI layout on the disk.
package verifyhere

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/trustcmd"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/opencontainers/go-digest"
)

// Here is a verification on this machine, by the registry's own verifiers, of content that lies anywhere.
type Here struct {
	Keys       []string
	Config     string
	Repository string
}

// Asked reports whether a flag says whom to trust, so that no server is asked.
func (h *Here) Asked() bool { return len(h.Keys) > 0 || h.Config != "" }

// LayoutPrefix is how an OCI layout is named: oci:DIRECTORY[:NAME|@DIGEST], as skopeo does.
const LayoutPrefix = "oci:"

// proof is one manifest with what is proven about it, and its children.
type proof struct {
	Repository store.Name    `json:"repository,omitempty"`
	Digest     store.Digest  `json:"digest"`
	MediaType  string        `json:"media_type"`
	Platform   string        `json:"platform,omitempty"`
	Proven     bool          `json:"proven"` // a signature or attestation by a trusted authority
	Facts      []verify.Fact `json:"facts"`
	Children   []proof       `json:"children,omitempty"`
}

// Verify verifies arg with the authorities of --key and --trust, and prints the tree. It never asks an administration API.
func Verify(a *cli.App, ctx context.Context, arg string, h *Here) error {
	s, repo, ref, err := shelfOf(a, ctx, arg, h)
	if err != nil {
		return err
	}
	authorities, err := trustedHere(a, h, repo)
	if err != nil {
		return err
	}
	v := &verifying{a: a, shelf: s, repo: repo, authorities: authorities, verifier: place.NewVerifier(slog.New(slog.NewTextHandler(a.Stderr, nil)))}
	p, err := v.proof(ctx, ref, "", 0)
	if err != nil {
		return err
	}
	p.Repository = repo
	if err := a.PrintValue(p, func() error { return proofTree(a, p, arg) }); err != nil {
		return err
	}
	switch {
	case p.Proven:
		return nil
	case len(p.Facts) == 0:
		err = fmt.Errorf("nothing is proven about %s: no signature or attestation is attached to it", arg)
	default:
		err = fmt.Errorf("nothing is proven about %s: nothing that is attached to it counts", arg)
	}
	return &cli.Failure{Code: cli.ExitRefused, Err: err}
}

// shelfOf opens what arg names. Of a layout the repository is unknown unless somebody says it.
func shelfOf(a *cli.App, ctx context.Context, arg string, h *Here) (shelf, store.Name, store.Reference, error) {
	path, layout := strings.CutPrefix(arg, LayoutPrefix)
	if !layout {
		ref, server, err := a.Image(ctx, arg)
		return &remoteShelf{server, ref.Repository}, ref.Repository, ref.Reference, err
	}
	ref := store.Reference{Tag: "latest"}
	if dir, d, ok := strings.Cut(path, "@"); ok {
		parsed, err := store.ParseDigest(d)
		if err != nil {
			return nil, "", ref, cli.Usage("%s: %s", arg, cli.Sentence(err))
		}
		path, ref = dir, store.Reference{Digest: parsed}
	} else if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexByte(path, filepath.Separator) {
		path, ref = path[:i], store.Reference{Tag: path[i+1:]}
	}
	repo := store.Name("layout")
	if h.Repository != "" {
		name, err := store.ParseName(h.Repository)
		if err != nil {
			return nil, "", ref, cli.Usage("--repository: %s", cli.Sentence(err))
		}
		repo = name
	}
	l, err := openLayout(a.Path(path))
	return l, repo, ref, err
}

// trustedHere are the authorities of the flags. A key of --key speaks for everything that is asked about; where nobody said in which
// repository a layout belongs, the repository that a signature names is not compared.
func trustedHere(a *cli.App, h *Here, repo store.Name) ([]verify.Authority, error) {
	var all []verify.Authority
	for i, file := range h.Keys {
		au, err := trustcmd.Authority(a, fmt.Sprintf("key-%d", i+1), &trustcmd.NewAuthority{
			Kind: verify.KindKey, Keys: []string{file}, Repositories: []string{"**"}, Binding: verify.BindingRepository, Attests: verify.Attestable(), Tlog: -1, Timestamps: -1, SCT: -1,
		})
		if err != nil {
			return nil, err
		}
		if repo == "layout" && h.Repository == "" {
			au.Binding = verify.BindingNone
		}
		all = append(all, au)
	}
	if h.Config != "" {
		cfg, err := place.Load(a, place.Flags{File: h.Config})
		if err != nil {
			return nil, err
		}
		all = append(all, cfg.Trust()...)
	}
	return all, nil
}

type verifying struct {
	a           *cli.App
	shelf       shelf
	repo        store.Name
	authorities []verify.Authority
	verifier    verify.Verifier
	nodes       int
}

// The bounds of the tree that is verified.
const (
	maxProofDepth = 4
	maxProofNodes = 1000
)

func (v *verifying) proof(ctx context.Context, ref store.Reference, platform string, depth int) (*proof, error) {
	if v.nodes++; v.nodes > maxProofNodes || depth > maxProofDepth {
		return nil, fmt.Errorf("the image has more than %d manifests, or nests them more than %d deep", maxProofNodes, maxProofDepth)
	}
	c, err := v.shelf.manifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	parsed, err := store.ParseManifest(c.MediaType, c.Bytes)
	if err != nil {
		return nil, err
	}
	p := &proof{Digest: c.Digest, MediaType: parsed.MediaType, Platform: platform}
	if p.Facts, err = v.facts(ctx, c); err != nil {
		return nil, err
	}
	for _, f := range p.Facts {
		p.Proven = p.Proven || f.Verified
	}
	for _, m := range parsed.Manifests {
		name := ""
		if m.Platform != nil {
			name = m.Platform.OS + "/" + m.Platform.Architecture
		}
		child, err := v.proof(ctx, store.Reference{Digest: m.Digest}, name, depth+1)
		if store.CodeOf(err) == store.CodeManifestUnknown {
			continue // a platform that was not copied
		}
		if err != nil {
			return nil, err
		}
		p.Children = append(p.Children, *child)
	}
	return p, nil
}

// facts gathers the evidence about one manifest and verifies it, as of now.
func (v *verifying) facts(ctx context.Context, c *client.Content) ([]verify.Fact, error) {
	attached, err := v.shelf.attached(ctx, c.Digest)
	if err != nil {
		return nil, err
	}
	source := referrers.Source{Open: func(ctx context.Context, d store.Digest) (*store.Blob, error) {
		b, err := v.shelf.blob(ctx, d, verify.MaxDocument)
		if err != nil {
			return nil, err
		}
		return &store.Blob{Descriptor: store.Descriptor{Digest: d, Size: int64(len(b))}, ReadSeekCloser: content{bytes.NewReader(b)}}, nil
	}}
	var evidence []verify.Evidence
	for _, at := range attached {
		p, err := store.ParseManifest(at.content.MediaType, at.content.Bytes)
		if err != nil || p.Index() || at.found == verify.FoundReferrers && (p.Subject == nil || p.Subject.Digest != c.Digest) {
			continue // listed as a referrer, and is none
		}
		class, err := referrers.Classify(ctx, p, at.reserved, source)
		if err != nil {
			return nil, err
		}
		if !class.Evidence {
			continue
		}
		e := verify.Evidence{Manifest: at.content.Descriptor, ArtifactType: p.ArtifactType, ConfigType: p.Config.MediaType, Found: at.found}
		for i, l := range p.Layers {
			e.Layers = append(e.Layers, verify.Layer{Descriptor: l, Bytes: class.Parts[i].Bytes})
		}
		evidence = append(evidence, e)
	}
	other := digest.SHA512
	if c.Digest.Algorithm() == other {
		other = digest.SHA256
	}
	subject := verify.Subject{Repository: v.repo, Descriptor: c.Descriptor, Alternate: store.DigestOf(other, c.Bytes)}
	report, err := v.verifier.Verify(ctx, subject, evidence, v.authorities)
	if err != nil {
		return nil, err
	}
	return report.At(v.a.Clock()).Facts, nil
}

// content is bytes as a blob.
type content struct{ io.ReadSeeker }

func (content) Close() error { return nil }

// proofTree prints what is proven, as a tree.
func proofTree(a *cli.App, p *proof, arg string) error {
	if err := a.Say("%s", cli.Printable(arg)); err != nil {
		return err
	}
	return proofNode(a, p, "└─ ", "   ")
}

func proofNode(a *cli.App, p *proof, first, rest string) error {
	line := strings.TrimSpace(p.Platform + " " + string(p.Digest))
	if err := a.Say("%s", first+cli.Printable(line)); err != nil {
		return err
	}
	hanging := len(p.Facts) + len(p.Children)
	branch := func() (string, string) {
		if hanging--; hanging == 0 {
			return rest + "└─ ", rest + "   "
		}
		return rest + "├─ ", rest + "│  "
	}
	for i := range p.Facts {
		first, _ := branch()
		if err := a.Say("%s", first+cli.Printable(FactLine(&p.Facts[i]))); err != nil {
			return err
		}
	}
	for i := range p.Children {
		first, rest := branch()
		if err := proofNode(a, &p.Children[i], first, rest); err != nil {
			return err
		}
	}
	return nil
}

// FactLine says in one line what a piece of evidence is, and what it proves or why it does not.
func FactLine(f *verify.Fact) string {
	what := string(f.Kind)
	if f.PredicateType != "" && f.PredicateType != verify.PredicateCosignSign {
		what = f.PredicateType
	}
	line := what + " in " + cli.Short(string(f.Evidence)) + " (" + string(f.Scheme) + ", " + string(f.Found) + "): "
	if !f.Verified && f.Authority != "" {
		line += "under " + f.Authority + ": "
	}
	if !f.Verified {
		return line + string(f.Code) + ": " + f.Message
	}
	line += "verified by " + f.Authority
	switch {
	case f.Identity != "" && f.Issuer != "":
		line += ", " + f.Identity + " (issuer " + f.Issuer + ")"
	case f.Identity != "":
		line += ", " + f.Identity
	case f.KeyID != "":
		line += ", key " + cli.Short(f.KeyID)
	}
	if !f.SignedAt.IsZero() {
		line += ", signed " + cli.Moment(f.SignedAt) + " (" + string(f.TimeSource) + ")"
	}
	return line
}
