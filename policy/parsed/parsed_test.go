package parsed

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/verify"
)

const app = store.Name("acme/app")

// entry is one of an index; about names the child that an attestation is about.
func entry(d store.Digest, about string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":2,"platform":{"os":"linux","architecture":"arm64","variant":"v8"},"annotations":{%q:%q}}`, store.TypeImage, d, Reference, about)
}

func index(entries ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, store.TypeIndex, strings.Join(entries, ","))
}

func manifestOf(layers ...string) string {
	for n, l := range layers {
		layers[n] = fmt.Sprintf(`{"mediaType":"application/vnd.in-toto+json","digest":%q,"size":2,"annotations":{%q:%q}}`, store.DigestOf("sha256", []byte(l)), annotationPredicate, l)
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[%s],"annotations":{"org.opencontainers.image.base.name":"debian"}}`,
		store.TypeImage, store.DigestOf("sha256", []byte("{}")), strings.Join(layers, ","))
}

// in runs do in a transaction of an empty store.
func in(t *testing.T, do func(tx *store.Txn)) {
	t.Helper()
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: func() time.Time { return time.Unix(1, 0) }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := local.Update(t.Context(), func(tx *store.Txn) error { do(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

func put(tx *store.Txn, text string, kind store.Kind, state store.State) store.Digest {
	d := store.DigestOf("sha256", []byte(text))
	mediaType := store.TypeImage
	if kind == store.KindIndex {
		mediaType = store.TypeIndex
	}
	rec := &store.ManifestRecord{Digest: d, MediaType: mediaType, Kind: kind, State: state, Size: int64(len(text))}
	rec.SetDetail(&store.Detail{})
	tx.PutManifest(app, rec)
	tx.PutContent(app, 'm', d, []byte(text))
	return d
}

func TestWhatWasReadLatelyIsNotReadAgain(t *testing.T) {
	var c Cache
	in(t, func(tx *store.Txn) {
		d := put(tx, manifestOf("a"), store.KindImage, store.StateAdmitted)
		first, err := c.In(tx.Records, app, d)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := c.Read(tx.Records, d, store.TypeImage); err != nil || again != first {
			t.Error("it is parsed twice", err)
		}
		if got := Blobs(first); len(got) != 2 || got[0].Digest != first.Config.Digest {
			t.Errorf("%v", got)
		}
		if _, err := c.In(tx.Records, app, store.DigestOf("sha256", []byte("nothing"))); store.CodeOf(err) != store.CodeManifestUnknown {
			t.Error(err)
		}
		if _, err := c.Read(tx.Records, store.DigestOf("sha256", []byte("nothing")), store.TypeImage); store.CodeOf(err) != store.CodeUnavailable {
			t.Error(err)
		}
		i := put(tx, index(), store.KindIndex, store.StateAdmitted)
		if _, err := c.In(tx.Records, app, i); err != nil {
			t.Fatal(err)
		}
		for n := range maxManifests {
			c.Keep(store.Digest(fmt.Sprint("sha256:", n)), &store.Parsed{MediaType: store.TypeImage}, 1)
		}
		if c.manifests.get(key{d, store.TypeImage}) != nil || c.indexes.get(key{i, store.TypeIndex}) == nil {
			t.Error("manifests displace indexes, or nothing")
		}
		c.Keep("sha256:large", &store.Parsed{MediaType: store.TypeImage}, maxBytes)
		if c.Keep("sha256:small", &store.Parsed{MediaType: store.TypeImage}, 1); len(c.manifests.m) != 1 {
			t.Errorf("%d manifests of too many bytes", len(c.manifests.m))
		}
	})
}

func TestWhatAnIndexHoldsAboutAChildIsTold(t *testing.T) {
	var c Cache
	in(t, func(tx *store.Txn) {
		child := put(tx, manifestOf("layer"), store.KindImage, store.StateAdmitted)
		many := make([]string, maxEnclosed+5)
		for n := range many {
			many[n] = fmt.Sprint("https://x.example/", n)
		}
		few, lots := put(tx, manifestOf("https://slsa.dev/provenance/v1"), store.KindAttestation, store.StateAdmitted), put(tx, manifestOf(many...), store.KindAttestation, store.StateAdmitted)
		signed := put(tx, index(entry(child, ""), entry(few, string(child)), entry("sha256:"+store.Digest(strings.Repeat("0", 64)), string(child))), store.KindIndex, store.StateAdmitted)
		rel, err := c.Relations(tx.Records, app, signed)
		if err != nil || len(rel.About[child]) != 2 || !slices.Equal(rel.Names[few], []store.Digest{child}) {
			t.Errorf("%+v, %v", rel, err)
		}
		if again, err := c.Relations(tx.Records, app, signed); err != nil || again != rel {
			t.Error("found twice", err)
		}
		doc := &contract.Input{Subject: contract.SubjectInput{Parents: []store.Digest{signed}}, Signatures: []contract.SignatureInput{
			{Verified: true, InheritedFrom: signed, Authority: "release"}, {Verified: true, InheritedFrom: signed, Authority: verify.ReservedAuthority}, {InheritedFrom: signed, Authority: "refused"}}}
		if err := c.Enclose(tx.Records, app, child, doc); err != nil || len(doc.Attestations) != 1 {
			t.Fatalf("%+v, %v", doc.Attestations, err)
		}
		if a := doc.Attestations[0]; a.Evidence != few || a.InheritedFrom != signed || a.PredicateType != "https://slsa.dev/provenance/v1" || a.Verified || !slices.Equal(a.CoveredBy, []string{"release"}) {
			t.Errorf("%+v", a)
		}
		full := put(tx, index(entry(child, ""), entry(lots, string(child))), store.KindIndex, store.StateAdmitted)
		gone := put(tx, index(entry(child, ""), entry(lots, string(child)), entry(few, "")), store.KindIndex, store.StateRevoked)
		doc = &contract.Input{Subject: contract.SubjectInput{Parents: []store.Digest{gone, full}}}
		if err := c.Enclose(tx.Records, app, child, doc); err != nil || len(doc.Attestations) != maxEnclosed {
			t.Errorf("%d statements, %v", len(doc.Attestations), err)
		}
	})
}

func TestADocumentHasWhatTheBytesSay(t *testing.T) {
	p, err := store.ReadManifest(store.TypeImage, []byte(manifestOf("layer")))
	if err != nil {
		t.Fatal(err)
	}
	doc := &contract.Input{}
	Describe(doc, p)
	if doc.Index != nil || len(doc.Manifest.Layers) != 1 || doc.Manifest.Config == nil || doc.Subject.MediaType != store.TypeImage {
		t.Errorf("%+v", doc)
	}
	if Config(doc, []byte("{"), p); doc.Config != nil {
		t.Errorf("%+v", doc.Config)
	}
	Config(doc, []byte(`{"os":"linux","architecture":"amd64","created":"2026-01-02T03:04:05+01:00","rootfs":{"type":"layers"},"config":{"User":"1000"}}`), p)
	if doc.Config.User != "1000" || doc.Config.Base.Name != "debian" || doc.Config.Created != "2026-01-02T02:04:05Z" || doc.Subject.Platform.OS != "linux" {
		t.Errorf("%+v", doc.Config)
	}
	if p, err = store.ReadManifest(store.TypeIndex, []byte(index(entry(store.DigestOf("sha256", nil), "")))); err != nil {
		t.Fatal(err)
	}
	doc = &contract.Input{}
	if Describe(doc, p); doc.Manifest != nil || doc.Index.Manifests[0].Platform.Variant != "v8" {
		t.Errorf("%+v", doc)
	}
}
