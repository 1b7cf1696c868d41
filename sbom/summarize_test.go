package sbom

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
)

const spdxExample = `{"spdxVersion":"SPDX-2.3","creationInfo":{"created":"2024-01-02T03:04:05Z","creators":["Organization: X","Tool: syft-1","Tool: other"]},
"packages":[
 {"SPDXID":"SPDXRef-a","licenseDeclared":"MIT AND (GPL-2.0-only WITH Classpath-exception-2.0 OR LicenseRef-1)","externalRefs":[{"referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a"},{"referenceType":"purl","referenceLocator":"pkg:deb/debian/libc6@2.36"}]},
 {"SPDXID":"SPDXRef-b","licenseDeclared":"NOASSERTION","licenseConcluded":"Apache-2.0","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:NPM/left-pad@1.0.0"}]},
 {"SPDXID":"SPDXRef-c","licenseDeclared":"NOASSERTION"},
 {"SPDXID":"SPDXRef-image","primaryPackagePurpose":"CONTAINER","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:oci/app@sha256:00"}]}],
"hasExtractedLicensingInfos":[{"licenseId":"LicenseRef-1","name":"Some Licence"}],
"relationships":[{"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES","relatedSpdxElement":"SPDXRef-image"}]}`

const cycloneExample = `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"timestamp":"2024-01-02T03:04:05Z","tools":{"components":[{"name":"syft","version":"1"}]},
"component":{"type":"container","name":"app"}},"components":[
 {"type":"library","purl":"pkg:deb/debian/libc6@2.36","licenses":[{"license":{"id":"MIT"}},{"license":{"name":"Some Licence"}}],
  "components":[{"type":"library","purl":"pkg:npm/left-pad@1","licenses":[{"expression":"Apache-2.0 OR MIT"}]}]},
 {"type":"file","name":"/etc/passwd"},{"type":"operating-system","name":"debian","version":"12"}]}`

const syftExample = `{"schema":{"version":"16.0.0"},"distro":{"id":"alpine","versionID":"3.20"},"descriptor":{"name":"syft","version":"1.0"},
"artifacts":[{"purl":"pkg:apk/alpine/musl@1","licenses":[{"value":"MIT","spdxExpression":"MIT"}]},{"purl":"","licenses":["BSD-3-Clause",{"value":"custom"}]}]}`

func TestSummarize(t *testing.T) {
	when := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name, mediaType, document string
		want                      Summary
	}{
		{"spdx", MediaTypeSPDX, spdxExample, Summary{
			Generator: "syft-1", Created: when, Packages: 3, ByType: store.NewCounts(map[string]int{"deb": 1, "npm": 1, "unknown": 1}), Unlicensed: 1,
			ByLicense: store.NewCounts(map[string]int{"MIT": 1, "(GPL-2.0-only WITH Classpath-exception-2.0 OR LicenseRef-Some-Licence)": 1, "Apache-2.0": 1}),
		}},
		{"cyclonedx", "", cycloneExample, Summary{
			Generator: "syft-1", Created: when, Packages: 2, ByType: store.NewCounts(map[string]int{"deb": 1, "npm": 1}), Distro: "debian", DistroVer: "12",
			ByLicense: store.NewCounts(map[string]int{"MIT": 1, "Some Licence": 1, "Apache-2.0 OR MIT": 1}),
		}},
		{"syft", MediaTypeSyft, syftExample, Summary{
			Generator: "syft-1.0", Packages: 2, ByType: store.NewCounts(map[string]int{"apk": 1, "unknown": 1}), Distro: "alpine", DistroVer: "3.20",
			ByLicense: store.NewCounts(map[string]int{"MIT": 1, "BSD-3-Clause": 1, "custom": 1}),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Summarize(c.mediaType, []byte(c.document))
			if err != nil {
				t.Fatal(err)
			}
			if got.Generator != c.want.Generator || !got.Created.Equal(c.want.Created) || got.Packages != c.want.Packages ||
				got.Unlicensed != c.want.Unlicensed || got.Distro != c.want.Distro || got.DistroVer != c.want.DistroVer ||
				!slices.Equal(got.ByType, c.want.ByType) || !slices.Equal(got.ByLicense, c.want.ByLicense) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestSummarizeRefuses(t *testing.T) {
	for _, c := range []struct{ name, mediaType, document, want string }{
		{"not JSON", "", "an SBOM", "not JSON"},
		{"trailing data", "", spdxExample + "{}", "after the end"},
		{"another label", MediaTypeCycloneDX, spdxExample, "labelled"},
		{"SPDX 3", "", `{"spdxVersion":"SPDX-3.0"}`, "neither"},
		{"CycloneDX 2", "", `{"bomFormat":"CycloneDX","specVersion":"2.0"}`, "1.2 to 1.7"},
		{"wrong types", "", `{"spdxVersion":"SPDX-2.3","packages":"none"}`, "cannot be read"},
		{"too large", "", strings.Repeat(" ", MaxDocument+1), "at most"},
		{"deep", "", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":` + strings.Repeat(`[{"components":`, 20000) + `[]` + strings.Repeat(`}]`, 20000) + `}`, ""},
	} {
		if _, err := Summarize(c.mediaType, []byte(c.document)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

func FuzzSummarize(f *testing.F) {
	for _, s := range []string{spdxExample, cycloneExample, syftExample, "{}", `{"spdxVersion":"SPDX-2.2","packages":[{}]}`,
		`{"bomFormat":"CycloneDX","specVersion":"1.4","metadata":{"tools":[{"name":"x"}]},"components":[{"components":[{}]}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Summarize("", b)
		if err != nil {
			return
		}
		n := 0
		for _, k := range s.ByType {
			n += k.N
		}
		if n != s.Packages {
			t.Errorf("%d packages, %d by type", s.Packages, n)
		}
	})
}

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	for _, payload := range []string{"", "hello"} {
		if err := WriteFrame(&b, FrameDocument, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	stream := b.Bytes()
	r := bytes.NewReader(stream)
	for _, want := range []string{"", "hello"} {
		kind, got, err := ReadFrame(r, 5)
		if err != nil || kind != FrameDocument || string(got) != want {
			t.Errorf("frame %q %q %v, want %q", byte(kind), got, err, want)
		}
	}
	if _, _, err := ReadFrame(r, 5); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, _, err := ReadFrame(bytes.NewReader(stream[5:]), 4); err == nil {
		t.Error("a frame beyond the limit was read")
	}
	if _, _, err := ReadFrame(bytes.NewReader(stream[5:8+4]), 5); err != io.ErrUnexpectedEOF {
		t.Errorf("a frame cut short: %v", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("d\x00\x00\x00\x02ok"))
	f.Add([]byte("d\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, payload, err := ReadFrame(bytes.NewReader(b), 1<<20)
		if err != nil {
			return
		}
		var w bytes.Buffer
		if err := WriteFrame(&w, kind, payload); err != nil || !bytes.HasPrefix(b, w.Bytes()) {
			t.Errorf("frame %q does not survive: %v", b, err)
		}
	})
}
