package main_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"
)

// payloads are layers that a container runtime unpacks, whatever they are called.
func payloads(ts *testscript.TestScript) map[string][]byte {
	plain, err := tarOf(map[string]string{"bin/payload": "#!/bin/sh\necho not what was signed\n"})
	ts.Check(err)
	var gz, zst bytes.Buffer
	gw := gzip.NewWriter(&gz)
	_, err = gw.Write(plain)
	ts.Check(err)
	ts.Check(gw.Close())
	zw, err := zstd.NewWriter(&zst)
	ts.Check(err)
	_, err = zw.Write(plain)
	ts.Check(err)
	ts.Check(zw.Close())
	all := map[string][]byte{"tar": plain, "tar.gz": gz.Bytes(), "tar.zst": zst.Bytes(), "json-tar": jsonTar(), "cose-tar": coseTar()}
	for _, polyglot := range []string{"json-tar", "cose-tar"} {
		header, err := tar.NewReader(bytes.NewReader(all[polyglot])).Next()
		if err != nil || header.Size == 0 {
			ts.Fatalf("%s is no tar: %v", polyglot, err)
		}
	}
	if !json.Valid(all["json-tar"]) {
		ts.Fatalf("json-tar is no JSON: %q", all["json-tar"])
	}
	return all
}

// tarHeader fills 512 bytes that a tar reader accepts as one file of the given size, beginning with name and free of NUL.
func tarHeader(name []byte, size int) []byte {
	h := bytes.Repeat([]byte(" "), 512)
	copy(h, name)
	for i := len(name); i < 100; i++ {
		h[i] = '_'
	}
	copy(h[100:], fmt.Sprintf("%07o %07o %07o %011o %011o ", 0o755, 0, 0, size, 0))
	h[156] = '0'
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o  ", sum))
	return h
}

// jsonTar is one JSON object and one tar archive at once: the header lies in a string.
func jsonTar() []byte {
	const size = 512
	content := append(bytes.Repeat([]byte("x"), size-2), `"}`...)
	return append(tarHeader([]byte(`{"_type":"https://in-toto.io/Statement/v1","`+`predicateType":"`), size), content...)
}

// coseTar is one COSE_Sign1 message (RFC 9052 section 4.2) and one tar archive at once: the header starts before its payload and ends inside.
func coseTar() []byte {
	const size = 512
	// tag 18, array of 4; protected {1: -7}; unprotected {}; payload: byte string with a two-byte length
	name := []byte{0xd2, 0x84, 0x43, 0xa1, 0x01, 0x26, 0xa0, 0x59, 0, 0}
	payload := 512 + size - len(name) - 2
	name[8], name[9] = byte(payload>>8), byte(payload)
	// 1012 is 0x03f4: neither byte is NUL, which would end the name.
	content := append(bytes.Repeat([]byte("y"), size-2), 0x41, 0x01) // a signature of one byte
	return append(tarHeader(name, size), content...)
}

// evidenceLabels are the media types and artifact types that evidence carries.
var evidenceLabels = []string{
	"application/vnd.dev.cosign.simplesigning.v1+json", "application/vnd.dsse.envelope.v1+json", "application/vnd.in-toto+json",
	"application/vnd.dev.sigstore.bundle.v0.3+json", "application/spdx+json", "text/spdx", "text/spdx+json", "application/vnd.cyclonedx+json",
	"application/vnd.syft+json", "application/openvex+json", "application/sarif+json", "application/jose+json", "application/cose",
	"application/vnd.cncf.notary.signature", "application/vnd.tuf.metadata+json",
}

var evidenceConfigs = []string{
	"application/vnd.oci.empty.v1+json", "application/vnd.dev.cosign.artifact.sig.v1+json", "application/vnd.oci.image.config.v1+json", "application/vnd.cncf.notary.signature",
}

// cmdSmuggle is "smuggle USER READER REPOSITORY SUBJECT". USER pushes every payload as the layer of a manifest under every evidence label, with
// every evidence configuration, as a referrer of SUBJECT and under its reserved tags. For each that was stored, READER asks for the
// manifest by digest and for the payload, and must be refused both times. The references of the first of each payload go into smuggled_PAYLOAD for real clients.
func cmdSmuggle(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: smuggle USER READER REPOSITORY SUBJECT")
	}
	user, reader, repo, subject := args[0], args[1], args[2], args[3]
	stored, refused := 0, 0
	for kind, content := range payloads(ts) {
		layer := upload(ts, user, repo, content)
		for i, label := range evidenceLabels {
			config := evidenceConfigs[i%len(evidenceConfigs)]
			for _, place := range []string{"subject", ".sig", ".att", ".sbom", ""} {
				body, configBytes := smuggled(label, config, place, subject, layer, len(content))
				upload(ts, user, repo, configBytes)
				ref := digestOf(body)
				if place != "subject" {
					ref = strings.Replace(subject, ":", "-", 1) + place
				}
				resp, answer := call(ts, user, http.MethodPut, "/v2/"+repo+"/manifests/"+ref, http.Header{"Content-Type": {"application/vnd.oci.image.manifest.v1+json"}}, body)
				if resp.StatusCode != http.StatusCreated {
					if resp.StatusCode >= 500 {
						ts.Fatalf("%s as %s at %q: %s\n%s", kind, label, place, resp.Status, answer)
					}
					refused++
					continue
				}
				stored++
				mustRefuse(ts, reader, "/v2/"+repo+"/manifests/"+digestOf(body), kind, label, place)
				mustRefuse(ts, reader, "/v2/"+repo+"/blobs/"+layer, kind, label, place)
				if place == "subject" {
					ts.Setenv("smuggled_"+strings.NewReplacer(".", "_", "-", "_").Replace(kind), digestOf(body))
				}
			}
		}
	}
	if stored == 0 {
		ts.Fatalf("nothing was stored (%d refused): the readers proved nothing", refused)
	}
	ts.Logf("%d manifests stored and refused to %s, %d refused at the door", stored, reader, refused)
}

// smuggled makes a manifest that calls the layer by label; with it come the bytes of its configuration.
func smuggled(label, config, place, subject, layer string, size int) (manifest, configBytes []byte) {
	configBytes = []byte("{}")
	if config == "application/vnd.oci.image.config.v1+json" {
		configBytes = fmt.Appendf(nil, `{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[%q]}}`, layer)
	}
	m := map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": label,
		"config": map[string]any{"mediaType": config, "digest": digestOf(configBytes), "size": len(configBytes)},
		"layers": []any{map[string]any{"mediaType": label, "digest": layer, "size": size, "annotations": map[string]string{"dev.cosignproject.cosign/signature": "AA=="}}},
	}
	if place == "subject" {
		m["subject"] = map[string]any{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject, "size": 2}
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	return manifest, configBytes
}

func mustRefuse(ts *testscript.TestScript, user, path string, about ...string) {
	resp, answer := call(ts, user, http.MethodGet, path, nil, nil)
	if resp.StatusCode != http.StatusForbidden {
		ts.Fatalf("%s: GET %s as %s: %s\n%.300s", strings.Join(about, " "), path, user, resp.Status, answer)
	}
}
