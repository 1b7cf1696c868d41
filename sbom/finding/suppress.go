package finding

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/vex"
	"github.com/assay-registry/assay/store"
)

// Applied is the statement that decides about a finding.
type Applied struct {
	Status        vex.Status   `json:"status"`
	Suppressed    bool         `json:"suppressed"` // not affected, with a reason, or fixed
	Justification string       `json:"justification,omitempty"`
	Impact        string       `json:"impact,omitempty"`
	Action        string       `json:"action,omitempty"`
	Author        string       `json:"author,omitempty"`
	Authority     string       `json:"authority,omitempty"`
	Document      string       `json:"document,omitempty"`
	Evidence      store.Digest `json:"evidence,omitempty"`
	Timestamp     time.Time    `json:"timestamp,omitzero"`
}

// Suppress marks the findings of an image with the statements that decide about them: of those that are about the image (or an index that holds it, also) or the package, and the
// vulnerability, the one whose signer is trusted most; of equals, the newest; of equals still, one that suppresses nothing. It deletes no finding and changes no order. A statement
// that something is not affected suppresses only with a justification or a word about the impact.
func Suppress(image store.Item, also []store.Digest, list []Finding, statements []vex.Statement) {
	order := make([]int, len(statements))
	for n := range order {
		order[n] = n
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := &statements[a], &statements[b]
		return cmp.Or(cmp.Compare(x.Rank, y.Rank), y.Timestamp.Compare(x.Timestamp), cmp.Compare(side(x.Suppresses()), side(y.Suppresses())))
	})
	v := &vexMatcher{image: image, also: also, statements: statements, products: map[int][]product{}}
	byName := map[string][]int{} // places in order
	for place, n := range order {
		s := &statements[n]
		for _, name := range append([]string{s.Vulnerability}, s.Aliases...) {
			byName[strings.ToUpper(name)] = append(byName[strings.ToUpper(name)], place)
		}
	}
	for i := range list {
		f := &list[i]
		pkg := componentOf(&f.Package)
		var places []int
		for _, name := range f.names() {
			places = append(places, byName[strings.ToUpper(name)]...)
		}
		slices.Sort(places)
		for _, place := range slices.Compact(places) {
			if v.concerns(order[place], pkg) {
				f.VEX = applied(&statements[order[place]])
				break
			}
		}
	}
}

// names is all that the vulnerability goes by. An advisory about several is none of its names.
func (f *Finding) names() []string { return append([]string{f.ID}, f.Aliases...) }

func applied(s *vex.Statement) *Applied {
	return &Applied{s.Status, s.Suppresses(), s.Justification, s.Impact, s.Action, s.Author, s.Authority, s.Document, s.Evidence, s.Timestamp}
}

type vexMatcher struct {
	image      store.Item
	also       []store.Digest
	statements []vex.Statement
	products   map[int][]product // by statement, as they are needed
}

// product is a product made ready.
type product struct {
	image bool // this one
	purl  *sbom.PURL
	parts []*sbom.PURL
	whole bool // there are no subcomponents
}

func (v *vexMatcher) concerns(n int, pkg component) bool {
	list, ok := v.products[n]
	if !ok {
		for i := range v.statements[n].Products {
			list = append(list, v.prepare(&v.statements[n].Products[i]))
		}
		v.products[n] = list
	}
	for i := range list {
		p := &list[i]
		switch {
		case p.image && p.whole, !p.image && p.whole && p.purl != nil && pkg.is(p.purl):
			return true
		case p.image && slices.ContainsFunc(p.parts, func(u *sbom.PURL) bool { return pkg.is(u) }):
			return true
		}
	}
	return false
}

func (v *vexMatcher) prepare(p *vex.Product) product {
	out := product{whole: len(p.Subcomponents) == 0}
	out.image = slices.ContainsFunc(p.Digests, v.isImage)
	if u, err := sbom.ParsePURL(p.ID); err == nil {
		if u.Type == "oci" || u.Type == "docker" {
			out.image = out.image || v.isImageURL(u)
		} else {
			out.purl = &u
		}
	} else if _, digest, ok := strings.Cut(p.ID, "@"); ok { // host/repository@sha256:...
		d, err := store.ParseDigest(digest)
		out.image = out.image || err == nil && v.isImage(d)
	} else if d, err := store.ParseDigest(p.ID); err == nil {
		out.image = out.image || v.isImage(d)
	}
	for _, s := range p.Subcomponents {
		if u, err := sbom.ParsePURL(s); err == nil {
			out.parts = append(out.parts, &u)
		}
	}
	return out
}

func (v *vexMatcher) isImage(d store.Digest) bool {
	return d == v.image.Digest || slices.Contains(v.also, d)
}

// isImageURL reads package URLs of images (purl-spec, types oci and docker): by digest, or without version by repository. A tag says nothing lasting.
func (v *vexMatcher) isImageURL(u sbom.PURL) bool {
	if u.Version != "" {
		d, err := store.ParseDigest(u.Version)
		return err == nil && v.isImage(d)
	}
	repo := string(v.image.Repository)
	if at := u.Qualifier("repository_url"); at != "" {
		at = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(at, "https://"), "http://"), "/")
		_, path, _ := strings.Cut(at, "/")
		return path == repo || path+"/"+u.Name == repo
	}
	if u.Namespace != "" {
		return u.Namespace+"/"+u.Name == repo
	}
	return u.Name == repo[strings.LastIndexByte(repo, '/')+1:]
}

// component is a package as products are compared with it.
type component struct {
	own     *sbom.PURL
	version string
	source  string
	from    string // version of the source package
}

func componentOf(v *index.PackageVersion) component {
	c := component{version: v.Version, source: v.Source, from: cmp.Or(v.SourceVersion, v.Version)}
	if u, err := sbom.ParsePURL(v.PURL); err == nil {
		c.own = &u
	}
	return c
}

// is reports whether a package URL of a statement means the package: the same name, and where the statement has them the same version and qualifiers. A distribution's
// source package means what was built from it.
func (c component) is(u *sbom.PURL) bool {
	if c.own == nil || u.Type != c.own.Type || u.Namespace != c.own.Namespace && u.Namespace != "" || u.Subpath != "" && u.Subpath != c.own.Subpath {
		return false
	}
	byName := u.Name == c.own.Name && u.Namespace == c.own.Namespace && (u.Version == "" || u.Version == c.own.Version || u.Version == c.version)
	distribution := c.own.Type == "deb" || c.own.Type == "rpm" || c.own.Type == "apk"
	bySource := distribution && c.source != "" && u.Name == c.source && (u.Version == "" || u.Version == c.from)
	if !byName && !bySource {
		return false
	}
	for _, q := range u.Qualifiers {
		if q.Key != "repository_url" && q.Key != "checksum" && (byName || q.Key != "arch" && q.Key != "upstream") && c.own.Qualifier(q.Key) != q.Value {
			return false
		}
	}
	return true
}
