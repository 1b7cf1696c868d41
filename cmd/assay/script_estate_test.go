package main_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/assay-registry/assay/verify/estate"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// estates are the Sigstore instances of one script, by name.
type estatesKey struct{}

// cmdEstate is "estate NAME": a private Sigstore instance (verify/estate) is served on a loopback address of its own until the script ends. $NAME is its address; what
// clients and the server must know lies in the folder NAME: trusted_root.json, signing configurations by version of the log and with or without stamps
// (rekor1.json, rekor1-tsa.json, rekor2-tsa.json, tsa.json), and in PEM fulcio.pem, ctlog.pub, rekor.pub and tsa.pem.
func cmdEstate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: estate NAME")
	}
	name := args[0]
	e := estate.New(name, time.Now)
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	server := &http.Server{Handler: e.Handler(), ReadHeaderTimeout: ready}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // until Close
	}()
	ts.Defer(func() {
		_ = server.Close()
		<-ended
	})
	base := "http://" + l.Addr().String()
	ts.Setenv(name, base)
	ts.Check(os.MkdirAll(ts.MkAbs(name), 0o700))
	for file, content := range map[string]string{
		"trusted_root.json": e.TrustedRoot(),
		"rekor1.json":       e.SigningConfig(base, 1, false),
		"rekor1-tsa.json":   e.SigningConfig(base, 1, true),
		"rekor2-tsa.json":   e.SigningConfig(base, 2, true),
		"tsa.json":          e.SigningConfig(base, 0, true),
		"fulcio.pem":        e.Fulcio.ChainPEM(),
		"ctlog.pub":         e.CT.PublicPEM(),
		"rekor.pub":         e.Rekor.PublicPEM(),
		"tsa.pem":           e.TSA.ChainPEM(),
	} {
		ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(name), file), []byte(content), 0o600))
	}
	ts.Value(estatesKey{}).(map[string]*estate.Estate)[name] = e
}

// cmdToken is "token [-ago DURATION] [-builder URI] ESTATE SUBJECT ISSUER FILE": an identity token for which the estate gives a certificate, which began that long ago.
func cmdToken(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("token", flag.ContinueOnError)
	ago := flags.Duration("ago", 0, "")
	builder := flags.String("builder", "", "")
	if err := flags.Parse(args); err != nil || neg || flags.NArg() != 4 {
		ts.Fatalf("usage: token [-ago DURATION] [-builder URI] ESTATE SUBJECT ISSUER FILE")
	}
	e := ts.Value(estatesKey{}).(map[string]*estate.Estate)[flags.Arg(0)]
	if e == nil {
		ts.Fatalf("there is no estate %s", flags.Arg(0))
	}
	text := e.Token(estate.Claims{Subject: flags.Arg(1), Ago: *ago, Extensions: certificate.Extensions{Issuer: flags.Arg(2), BuildSignerURI: *builder}})
	ts.Check(os.WriteFile(ts.MkAbs(flags.Arg(3)), []byte(text), 0o600))
}

// cmdGraft is "graft ANNOTATION FROM TO OUT": OUT is the manifest TO with an annotation of its first layer taken from that of FROM, or removed where FROM is "-".
func cmdGraft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: graft ANNOTATION FROM TO OUT")
	}
	read := func(file string) (doc map[string]any, annotations map[string]any) {
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &doc))
		layer := doc["layers"].([]any)[0].(map[string]any)
		return doc, layer["annotations"].(map[string]any)
	}
	doc, to := read(args[2])
	delete(to, args[0])
	if args[1] != "-" {
		_, from := read(args[1])
		to[args[0]] = from[args[0]]
	}
	b, err := json.Marshal(doc)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), b, 0o600))
}

// bundleType is the media type of the bundles that cosign writes.
const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// cmdBundle is "bundle USER REPOSITORY SUBJECT FILE": it fetches the first sigstore bundle that refers to the subject's digest.
func cmdBundle(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: bundle USER REPOSITORY SUBJECT FILE")
	}
	get := func(path string) []byte {
		resp, b := call(ts, args[0], http.MethodGet, "/v2/"+args[1]+path, nil, nil)
		if resp.StatusCode != http.StatusOK {
			ts.Fatalf("%s: %s\n%s", path, resp.Status, b)
		}
		return b
	}
	var list struct {
		Manifests []struct{ ArtifactType, Digest string }
	}
	ts.Check(json.Unmarshal(get("/referrers/"+args[2]), &list))
	for _, m := range list.Manifests {
		if m.ArtifactType != bundleType {
			continue
		}
		var manifest struct {
			Layers []struct{ Digest string }
		}
		ts.Check(json.Unmarshal(get("/manifests/"+m.Digest), &manifest))
		ts.Check(os.WriteFile(ts.MkAbs(args[3]), get("/blobs/"+manifest.Layers[0].Digest), 0o600))
		return
	}
	ts.Fatalf("%s has no bundle", args[2])
}

// cmdAttach is "attach USER REPOSITORY SUBJECT FILE": it pushes the file as a sigstore bundle that refers to the subject's digest, as cosign does.
func cmdAttach(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: attach USER REPOSITORY SUBJECT FILE")
	}
	user, repo, subject, content := args[0], args[1], args[2], []byte(ts.ReadFile(args[3]))
	resp, _ := call(ts, user, http.MethodHead, "/v2/"+repo+"/manifests/"+subject, nil, nil)
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s", subject, resp.Status)
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":%q,`+
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d}],`+
		`"subject":{"mediaType":%q,"digest":%q,"size":%d}}`, bundleType, upload(ts, user, repo, []byte("{}")), bundleType, upload(ts, user, repo, content), len(content),
		resp.Header.Get("Content-Type"), subject, resp.ContentLength)
	resp, b := call(ts, user, http.MethodPut, "/v2/"+repo+"/manifests/"+digestOf([]byte(manifest)), http.Header{"Content-Type": {"application/vnd.oci.image.manifest.v1+json"}}, []byte(manifest))
	if resp.StatusCode != http.StatusCreated {
		ts.Fatalf("%s\n%s", resp.Status, b)
	}
}

// cmdSplice is "splice MEMBER FROM TO OUT": OUT is the bundle TO with a member of its verification material taken from FROM, or removed where FROM is "-".
func cmdSplice(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: splice MEMBER FROM TO OUT")
	}
	read := func(file string) (doc, material map[string]any) {
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &doc))
		return doc, doc["verificationMaterial"].(map[string]any)
	}
	doc, to := read(args[2])
	delete(to, args[0])
	if args[1] != "-" {
		_, from := read(args[1])
		to[args[0]] = from[args[0]]
	}
	b, err := json.Marshal(doc)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), b, 0o600))
}
