package sbom

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
)

const (
	layerA = store.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	imageA = store.Digest("sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
)

// The same image in every format: a Debian package from a source package, which a layer brought, and an npm package that needs another.
var sameImage = map[string]string{
	"spdx-2.3": `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","creationInfo":{"created":"2024-01-02T03:04:05Z","creators":["Tool: syft-1.2.3"]},
"relationships":[
 {"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES","relatedSpdxElement":"SPDXRef-image"},
 {"spdxElementId":"SPDXRef-image","relationshipType":"CONTAINS","relatedSpdxElement":"SPDXRef-libc"},
 {"spdxElementId":"SPDXRef-b","relationshipType":"DEPENDENCY_OF","relatedSpdxElement":"SPDXRef-a"},
 {"spdxElementId":"SPDXRef-libc","relationshipType":"OTHER","relatedSpdxElement":"SPDXRef-File-status","comment":"evident-by"}],
"files":[{"SPDXID":"SPDXRef-File-status","fileName":"/var/lib/dpkg/status","comment":"layerID: ` + string(layerA) + `"}],
"packages":[
 {"SPDXID":"SPDXRef-libc","name":"libc6","versionInfo":"2.36-9","licenseDeclared":"LGPL-2.1-only AND LicenseRef-x","sourceInfo":"acquired package info from DPKG DB: /var/lib/dpkg/status",
  "externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:deb/debian/libc6@2.36-9?upstream=glibc%402.36-9a&distro=debian-12"}]},
 {"SPDXID":"SPDXRef-a","name":"a","versionInfo":"1.0.0","licenseDeclared":"NOASSERTION","licenseConcluded":"MIT","sourceInfo":"acquired package info from installed node module manifest file: /app/node_modules/a/package.json",
  "externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:npm/A@1.0.0"}]},
 {"SPDXID":"SPDXRef-b","name":"b","versionInfo":"2.0.0","licenseDeclared":"MIT OR Apache-2.0","sourceInfo":"acquired package info from installed node module manifest file: /app/node_modules/b/package.json",
  "externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:npm/%40s/b@2.0.0"}]},
 {"SPDXID":"SPDXRef-image","name":"app","versionInfo":"` + string(imageA) + `","primaryPackagePurpose":"CONTAINER"}],
"hasExtractedLicensingInfos":[{"licenseId":"LicenseRef-x","name":"Some Licence"}]}`,

	"spdx-2.3 tag-value": "SPDXVersion: SPDX-2.3\nSPDXID: SPDXRef-DOCUMENT\nCreator: Tool: syft-1.2.3\nCreated: 2024-01-02T03:04:05Z\n\n# files\nFileName: /var/lib/dpkg/status\nSPDXID: SPDXRef-File-status\n" +
		"FileComment: <text>layerID: " + string(layerA) + "</text>\n\nPackageName: libc6\nSPDXID: SPDXRef-libc\nPackageVersion: 2.36-9\nPackageComment: <text>PackageName: evil\n" +
		"PackageVersion: 9</text>\nPackageLicenseDeclared: LGPL-2.1-only AND LicenseRef-x\nExternalRef: PACKAGE-MANAGER purl pkg:deb/debian/libc6@2.36-9?upstream=glibc%402.36-9a&distro=debian-12\n" +
		"PackageName: a\nSPDXID: SPDXRef-a\nPackageVersion: 1.0.0\nPackageLicenseDeclared: NOASSERTION\nPackageLicenseConcluded: MIT\nExternalRef: PACKAGE-MANAGER purl pkg:npm/A@1.0.0\n" +
		"PackageSourceInfo: <text>acquired package info from installed node module manifest file: /app/node_modules/a/package.json</text>\n" +
		"PackageName: b\nSPDXID: SPDXRef-b\nPackageVersion: 2.0.0\nPackageLicenseDeclared: MIT OR Apache-2.0\nExternalRef: PACKAGE-MANAGER purl pkg:npm/%40s/b@2.0.0\n" +
		"PackageSourceInfo: <text>acquired package info from installed node module manifest file: /app/node_modules/b/package.json</text>\n" +
		"PackageName: app\nSPDXID: SPDXRef-image\nPackageVersion: " + string(imageA) + "\nPrimaryPackagePurpose: CONTAINER\n\nLicenseID: LicenseRef-x\nExtractedText: <text>a\nb</text>\nLicenseName: Some Licence\n\n" +
		"Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-image\nRelationship: SPDXRef-b DEPENDENCY_OF SPDXRef-a\nRelationship: SPDXRef-libc OTHER SPDXRef-File-status\n",

	"spdx-3.0.1": `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[
 {"type":"CreationInfo","@id":"_:c","specVersion":"3.0.1","created":"2024-01-02T03:04:05Z","createdUsing":["urn:tool"]},
 {"type":"Tool","spdxId":"urn:tool","name":"syft-1.2.3","creationInfo":"_:c"},
 {"type":"SpdxDocument","spdxId":"urn:doc","rootElement":["urn:image"]},
 {"type":"software_Package","spdxId":"urn:image","name":"app","software_packageVersion":"` + string(imageA) + `","software_primaryPurpose":"container"},
 {"type":"software_Package","spdxId":"urn:libc","name":"libc6","software_packageVersion":"2.36-9","software_packageUrl":"pkg:deb/debian/libc6@2.36-9?upstream=glibc%402.36-9a&distro=debian-12"},
 {"type":"software_Package","spdxId":"urn:a","name":"a","software_packageVersion":"1.0.0","externalIdentifier":[{"externalIdentifierType":"packageUrl","identifier":"pkg:npm/A@1.0.0"}],
  "software_sourceInfo":"acquired package info from installed node module manifest file: /app/node_modules/a/package.json"},
 {"type":"software_Package","spdxId":"urn:b","name":"b","software_packageVersion":"2.0.0","software_packageUrl":"pkg:npm/%40s/b@2.0.0",
  "software_sourceInfo":"acquired package info from installed node module manifest file: /app/node_modules/b/package.json"},
 {"type":"software_File","spdxId":"urn:file","name":"/var/lib/dpkg/status"},
 {"type":"simplelicensing_LicenseExpression","spdxId":"urn:l1","simplelicensing_licenseExpression":"LGPL-2.1-only"},
 {"type":"expandedlicensing_CustomLicense","spdxId":"urn:l2","name":"Some Licence"},
 {"type":"Relationship","from":"urn:libc","to":["urn:l1","urn:l2"],"relationshipType":"hasDeclaredLicense"},
 {"type":"Relationship","from":"urn:a","to":["https://spdx.org/licenses/MIT"],"relationshipType":"hasConcludedLicense"},
 {"type":"simplelicensing_LicenseExpression","spdxId":"urn:l3","simplelicensing_licenseExpression":"MIT OR Apache-2.0"},
 {"type":"Relationship","from":"urn:b","to":["urn:l3"],"relationshipType":"hasDeclaredLicense"},
 {"type":"Relationship","from":"urn:libc","to":["urn:file"],"relationshipType":"contains"},
 {"type":"LifecycleScopedRelationship","scope":"runtime","from":"urn:a","to":["urn:b"],"relationshipType":"dependsOn"}]}`,

	"cyclonedx-1.6": `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"timestamp":"2024-01-02T03:04:05Z","tools":{"components":[{"name":"syft","version":"1.2.3"}]},
 "component":{"type":"container","name":"app","version":"` + string(imageA) + `"}},
"components":[
 {"bom-ref":"libc","type":"library","name":"libc6","version":"2.36-9","purl":"pkg:deb/debian/libc6@2.36-9?upstream=glibc%402.36-9a&distro=debian-12",
  "licenses":[{"license":{"id":"LGPL-2.1-only"}},{"license":{"name":"Some Licence"}}],
  "properties":[{"name":"syft:location:0:layerID","value":"` + string(layerA) + `"},{"name":"syft:location:0:path","value":"/var/lib/dpkg/status"}]},
 {"bom-ref":"a","type":"library","name":"a","version":"1.0.0","purl":"pkg:npm/A@1.0.0","licenses":[{"license":{"id":"MIT"}}],"evidence":{"occurrences":[{"location":"/app/node_modules/a/package.json"}]},
  "components":[]},
 {"bom-ref":"b","type":"library","group":"@s","name":"b","version":"2.0.0","purl":"pkg:npm/%40s/b@2.0.0","licenses":[{"expression":"MIT OR Apache-2.0"}],"evidence":{"occurrences":[{"location":"/app/node_modules/b/package.json"}]}},
 {"type":"file","name":"/etc/passwd"},{"type":"operating-system","name":"debian","version":"12"}],
"dependencies":[{"ref":"a","dependsOn":["b","nothing"]},{"ref":"b"}]}`,

	"cyclonedx-1.5 XML": `<?xml version="1.0"?><bom xmlns="http://cyclonedx.org/schema/bom/1.5"><metadata><timestamp>2024-01-02T03:04:05Z</timestamp>
<tools><components><component type="application"><name>syft</name><version>1.2.3</version></component></components></tools>
<component type="container"><name>app</name><version>` + string(imageA) + `</version></component></metadata>
<components><component bom-ref="libc" type="library"><name>libc6</name><version>2.36-9</version><licenses><license><id>LGPL-2.1-only</id></license><license><name>Some Licence</name></license></licenses>
<purl>pkg:deb/debian/libc6@2.36-9?upstream=glibc%402.36-9a&amp;distro=debian-12</purl><pedigree><ancestors><component type="library"><name>not here</name></component></ancestors></pedigree>
<properties><property name="syft:location:0:layerID">` + string(layerA) + `</property><property name="syft:location:0:path">/var/lib/dpkg/status</property></properties></component>
<component bom-ref="a" type="library"><name>a</name><version>1.0.0</version><licenses><license><id>MIT</id></license></licenses><purl>pkg:npm/A@1.0.0</purl>
<evidence><occurrences><occurrence><location>/app/node_modules/a/package.json</location></occurrence></occurrences></evidence></component>
<component bom-ref="b" type="library"><name>b</name><version>2.0.0</version><licenses><expression>MIT OR Apache-2.0</expression></licenses><purl>pkg:npm/%40s/b@2.0.0</purl>
<evidence><occurrences><occurrence><location>/app/node_modules/b/package.json</location></occurrence></occurrences></evidence></component>
<component type="operating-system"><name>debian</name><version>12</version></component></components>
<dependencies><dependency ref="a"><dependency ref="b"/></dependency></dependencies></bom>`,

	"syft-16.0.1": `{"schema":{"version":"16.0.1"},"descriptor":{"name":"syft","version":"1.2.3","timestamp":"2024-01-02T03:04:05Z"},"distro":{"id":"debian","versionID":"12"},
"source":{"type":"image","metadata":{"manifestDigest":"` + string(imageA) + `"}},
"artifacts":[{"id":"1","name":"libc6","version":"2.36-9","purl":"pkg:deb/debian/libc6@2.36-9?upstream=glibc%402.36-9a&distro=debian-12","licenses":[{"value":"LGPL-2.1-only","spdxExpression":"LGPL-2.1-only"},{"value":"Some Licence"}],
 "locations":[{"path":"/var/lib/dpkg/status","layerID":"` + string(layerA) + `"}],"metadata":{"source":"glibc","sourceVersion":"2.36-9a","files":[{"path":"/x"}]}},
 {"id":"2","name":"a","version":"1.0.0","purl":"pkg:npm/A@1.0.0","licenses":["MIT"],"locations":[{"path":"/app/node_modules/a/package.json"}],"metadata":null},
 {"id":"3","name":"b","version":"2.0.0","purl":"pkg:npm/%40s/b@2.0.0","licenses":[{"spdxExpression":"MIT OR Apache-2.0"}],"locations":[{"path":"/app/node_modules/b/package.json"}]}],
"artifactRelationships":[{"parent":"3","child":"2","type":"dependency-of"},{"parent":"img","child":"1","type":"contains"}]}`,
}

func TestReadGivesTheSameForEveryFormat(t *testing.T) {
	for name, document := range sameImage {
		t.Run(name, func(t *testing.T) {
			format, _, _ := strings.Cut(name, " ")
			want := &Inventory{
				Format: format, Generator: "syft-1.2.3", Created: time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), Subject: imageA, Distro: Distro{"debian", "12"},
				Packages: []Package{
					{PURL: "pkg:deb/debian/libc6@2.36-9?distro=debian-12&upstream=glibc%402.36-9a", Name: "libc6", Version: "2.36-9", Type: "deb", Licenses: []string{"LGPL-2.1-only", "Some Licence"},
						Source: "glibc", SourceVersion: "2.36-9a", Locations: []Location{{"/var/lib/dpkg/status", layerA}}},
					{PURL: "pkg:npm/a@1.0.0", Name: "a", Version: "1.0.0", Type: "npm", Licenses: []string{"MIT"}, Locations: []Location{{Path: "/app/node_modules/a/package.json"}}, Requires: []int{2}},
					{PURL: "pkg:npm/%40s/b@2.0.0", Name: "b", Version: "2.0.0", Type: "npm", Licenses: []string{"MIT OR Apache-2.0"}, Locations: []Location{{Path: "/app/node_modules/b/package.json"}}},
				},
			}
			if format == "spdx-3.0.1" {
				want.Packages[0].Locations[0].Layer = "" // it has no place for it
			}
			got, err := Read("", []byte(document))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestReadTrivy(t *testing.T) {
	inv, err := Read(MediaTypeCycloneDX, []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"purl":"pkg:oci/app@`+strings.ReplaceAll(string(imageA), ":", "%3A")+`?arch=amd64"}},
"components":[{"type":"library","name":"libssl3","version":"3.0.11-1","purl":"pkg:deb/debian/libssl3@3.0.11-1?arch=amd64","properties":[
{"name":"aquasecurity:trivy:LayerDiffID","value":"`+string(layerA)+`"},{"name":"aquasecurity:trivy:SrcEpoch","value":"1"},{"name":"aquasecurity:trivy:SrcName","value":"openssl"},
{"name":"aquasecurity:trivy:SrcRelease","value":"1"},{"name":"aquasecurity:trivy:SrcVersion","value":"3.0.11"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	p := inv.Packages[0]
	if inv.Subject != imageA || p.Source != "openssl" || p.SourceVersion != "1:3.0.11-1" || len(p.Locations) != 1 || p.Locations[0].Layer != layerA {
		t.Errorf("%s %+v", inv.Subject, p)
	}
	inv, err = Read("", []byte(`{"spdxVersion":"SPDX-2.3","packages":[{"SPDXID":"SPDXRef-os","name":"debian","versionInfo":"12.5","primaryPackagePurpose":"OPERATING-SYSTEM"},
{"SPDXID":"SPDXRef-p","name":"libssl3","versionInfo":"3.0.11-1","sourceInfo":"built package from: openssl 3.0.11-1","attributionTexts":["PkgType: debian","LayerDiffID: `+string(layerA)+`"]}]}`))
	if err != nil || len(inv.Packages) != 1 || inv.Distro != (Distro{"debian", "12.5"}) || inv.Packages[0].Source != "openssl" || inv.Packages[0].Locations[0].Layer != layerA {
		t.Errorf("%+v %v", inv, err)
	}
}

func spdxPackages(entries ...string) string {
	return `{"spdxVersion":"SPDX-2.3","packages":[` + strings.Join(entries, ",") + `]}`
}

func TestReadOfHostileDocuments(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		check    func(inv *Inventory) bool
	}{
		"script in a name stays text": {spdxPackages(`{"name":"<script>alert(1)</script>"}`), func(inv *Inventory) bool { return inv.Packages[0].Name == "<script>alert(1)</script>" }},
		"NUL and turned text": {spdxPackages(`{"name":"a\u0000b\u202ec","versionInfo":"1\n2"}`), func(inv *Inventory) bool {
			return inv.Packages[0].Name == "a\uFFFDb\uFFFDc" && inv.Packages[0].Version == "1\uFFFD2"
		}},
		"a long name ends": {spdxPackages(`{"name":"` + strings.Repeat("x", 5000) + `"}`), func(inv *Inventory) bool {
			n := inv.Packages[0].Name
			return len(n) == maxText && strings.HasSuffix(n, "\u2026")
		}},
		"a malformed package URL": {spdxPackages(`{"name":"a","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:npm/a%00b@1"}]}`), func(inv *Inventory) bool { return inv.Packages[0].PURL == "" && inv.Packages[0].Type == "unknown" }},
		"a cycle": {`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"bom-ref":"a","name":"a"},{"bom-ref":"b","name":"b"}],"dependencies":[{"ref":"a","dependsOn":["b","a"]},{"ref":"b","dependsOn":["a","a"]}]}`,
			func(inv *Inventory) bool {
				return slices.Equal(inv.Packages[0].Requires, []int{1}) && slices.Equal(inv.Packages[1].Requires, []int{0})
			}},
		"two packages of one id": {`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"bom-ref":"a","name":"a"},{"bom-ref":"a","name":"b"},{"bom-ref":"c","name":"c"}],"dependencies":[{"ref":"c","dependsOn":["a"]}]}`,
			func(inv *Inventory) bool {
				return len(inv.Packages) == 3 && slices.Equal(inv.Packages[2].Requires, []int{0})
			}},
		"the image within itself": {spdxPackages(`{"SPDXID":"a","name":"a"}`, `{"SPDXID":"b","name":"b"}`)[:0] + `{"spdxVersion":"SPDX-2.3","documentDescribes":["a","b"],"packages":[{"SPDXID":"a","name":"a"},{"SPDXID":"b","name":"b"}]}`,
			func(inv *Inventory) bool { return len(inv.Packages) == 2 }},
		"a long choice of licences": {spdxPackages(`{"name":"a","licenseDeclared":"` + strings.Repeat("(MIT AND Zlib) OR ", 20) + `AGPL-3.0-only"}`), func(inv *Inventory) bool {
			return slices.Equal(inv.Packages[0].Licenses, []string{"MIT", "Zlib", "AGPL-3.0-only"})
		}},
		"many licences": {spdxPackages(`{"name":"a","licenseDeclared":"` + strings.Repeat("A AND ", 5) + manyLicenses(500) + `"}`), func(inv *Inventory) bool { return len(inv.Packages[0].Licenses) == maxLicenses }},
	} {
		inv, err := Read("", []byte(c.document))
		if err != nil || !c.check(inv) {
			t.Errorf("%s: %+v %v", name, inv, err)
		}
	}
}

func manyLicenses(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("L-%d", i))
	}
	return strings.Join(list, " AND ")
}

func TestReadRefuses(t *testing.T) {
	nested := strings.Repeat(`<components><component><name>a</name>`, 100) + strings.Repeat(`</component></components>`, 100)
	for name, c := range map[string]struct{ mediaType, document, want string }{
		"a key twice":            {"", `{"spdxVersion":"SPDX-2.3","packages":[],"packages":[{"name":"a"}]}`, "same key twice"},
		"a number as name":       {"", spdxPackages(`{"name":1}`), "text was expected"},
		"an object of packages":  {"", `{"spdxVersion":"SPDX-2.3","packages":{}}`, "a list was expected"},
		"too many packages":      {"", spdxPackages(strings.Repeat(`{},`, MaxPackages) + `{}`), "more than 200000"},
		"SPDX 3.1":               {"", `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[{"type":"CreationInfo","specVersion":"3.1.0"}]}`, "3.1.0"},
		"XML of another kind":    {"", `<html/>`, "no CycloneDX"},
		"an old XML":             {"", `<bom xmlns="http://cyclonedx.org/schema/bom/1.1"/>`, "1.2 to 1.7"},
		"a document type":        {"", `<!DOCTYPE bom [<!ENTITY a "b">]><bom xmlns="http://cyclonedx.org/schema/bom/1.5"/>`, "document type"},
		"an unknown entity":      {"", `<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><components><component><name>&a;</name></component></components></bom>`, "entity"},
		"two roots":              {"", `<bom xmlns="http://cyclonedx.org/schema/bom/1.5"/><bom/>`, "follows"},
		"a truncated XML":        {"", `<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><components>`, "EOF"},
		"deep XML":               {"", `<bom xmlns="http://cyclonedx.org/schema/bom/1.5">` + nested + `</bom>`, "nested"},
		"text without end":       {"", "SPDXVersion: SPDX-2.3\nPackageComment: <text>a", "no end"},
		"a line that is no tag":  {"", "SPDXVersion: SPDX-2.3\nhello", "no tag"},
		"tag-value that is not":  {"", "SPDXVersion: SPDX-2.3\nPackageName: \xff", "UTF-8"},
		"an old tag-value":       {"", "SPDXVersion: SPDX-2.1\n", "spdx-2.1"},
		"another label":          {"text/spdx", sameImage["cyclonedx-1.5 XML"], "labelled"},
		"deep JSON":              {"", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":` + strings.Repeat(`[{"components":`, 200) + `[]` + strings.Repeat(`}]`, 200) + `}`, "nested"},
		"a relationship of two":  {"", "SPDXVersion: SPDX-2.3\nRelationship: a b", "three parts"},
		"an unfinished document": {"", `{"spdxVersion":"SPDX-2.3","packages":[`, "ends too early"},
	} {
		if _, err := Read(c.mediaType, []byte(c.document)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestPURLNormalForm(t *testing.T) {
	for in, want := range map[string]string{
		"pkg:npm/%40babel/Core@7.0.0":                                              "pkg:npm/%40babel/core@7.0.0",
		"pkg:npm/@babel/core":                                                      "pkg:npm/%40babel/core",
		"PKG:PyPI/Django_Allauth@12.23":                                            "pkg:pypi/django-allauth@12.23",
		"pkg:deb/Debian/curl@7.50.3-1?distro=jessie&Arch=i386":                     "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie",
		"pkg://maven//org.apache/xalan@2.7.1?a=&repository_url=repo.example.com/x": "pkg:maven/org.apache/xalan@2.7.1?repository_url=repo.example.com/x",
		"pkg:golang/github.com/BurntSushi/toml@v1.2.3+incompatible#/sub/../a/":     "pkg:golang/github.com/burntsushi/toml@v1.2.3%2Bincompatible#sub/a",
		"pkg:rpm/Fedora/Curl@7.50?epoch=1":                                         "pkg:rpm/fedora/Curl@7.50?epoch=1",
		"pkg:oci/app@sha256:aa":                                                    "pkg:oci/app@sha256:aa",
		"pkg:deb/debian/libc6@1%3A2.36":                                            "pkg:deb/debian/libc6@1:2.36",
	} {
		u, err := ParsePURL(in)
		if err != nil || u.String() != want {
			t.Errorf("%s: %s %v, want %s", in, u, err, want)
		}
		if again, err := ParsePURL(u.String()); err != nil || again.String() != want {
			t.Errorf("%s again: %s %v", in, again, err)
		}
	}
	for _, in := range []string{"", "pkg:", "pkg:npm", "pkg:npm/", "npm/a", "pkg:1a/b", "pkg:npm/a%2Fb/c%2Fd", "pkg:npm/a%zz", "pkg:npm/a%00", "pkg:npm/a?x=1&X=2", "pkg:npm/a\nb", "pkg:npm/" + strings.Repeat("a", 2048), "pkg:npm/a?1=2"} {
		if u, err := ParsePURL(in); err == nil {
			t.Errorf("%q is read as %s", in, u)
		}
	}
	p := Package{Name: "a b/c"}
	if p.Base() != "pkg:unknown/a%20b%2Fc" {
		t.Error(p.Base())
	}
}

func TestIdentifiers(t *testing.T) {
	for in, want := range map[string][]string{
		"MIT": {"MIT"},
		"MIT AND (GPL-2.0-only WITH Classpath-exception-2.0 OR MIT)": {"MIT", "GPL-2.0-only"},
		"Public Domain (see file)":                                   {"Public Domain (see file)"},
		"MIT AND":                                                    {"MIT AND"},
		"NOASSERTION":                                                nil,
		"":                                                           nil,
		"Apache 2":                                                   {"Apache 2"},
		"((MIT))":                                                    {"MIT"},
		"(MIT":                                                       {"(MIT"},
		"GPL-2.0+ or later":                                          {"GPL-2.0+ or later"},
	} {
		if got := Identifiers(in); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestDrift(t *testing.T) {
	pkg := func(purl string) Package { return Package{PURL: purl} }
	declared := &Inventory{Packages: []Package{pkg("pkg:npm/a@1"), pkg("pkg:npm/b@1?x=1"), pkg("pkg:npm/gone@1"), {Name: "n", Version: "1"}}}
	found := &Inventory{Packages: []Package{pkg("pkg:npm/a@2"), pkg("pkg:npm/b@1"), pkg("pkg:npm/hidden@1"), pkg("pkg:npm/hidden@1"), {Name: "n", Version: "1"}}}
	absent, undeclared := Drift(declared, found)
	urls := func(list []Package) (out []string) {
		for _, p := range list {
			out = append(out, p.PURL)
		}
		return out
	}
	if !slices.Equal(urls(absent), []string{"pkg:npm/a@1", "pkg:npm/gone@1"}) || !slices.Equal(urls(undeclared), []string{"pkg:npm/a@2", "pkg:npm/hidden@1"}) {
		t.Errorf("absent %q, undeclared %q", urls(absent), urls(undeclared))
	}
}

func FuzzRead(f *testing.F) {
	for _, document := range sameImage {
		f.Add([]byte(document))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		inv, err := Read("", b)
		if err != nil {
			return
		}
		for i, p := range inv.Packages {
			if hasControl(p.Name+p.Version+p.PURL+p.Source) || len(p.Name) > maxText || p.Type == "" || len(p.Locations) > maxLocations {
				t.Errorf("package %+v", p)
			}
			for _, n := range p.Requires {
				if n < 0 || n >= len(inv.Packages) || n == i {
					t.Errorf("package %d requires %d", i, n)
				}
			}
			if u, err := ParsePURL(p.PURL); p.PURL != "" && (err != nil || u.String() != p.PURL) {
				t.Errorf("%q is not in normal form: %v", p.PURL, err)
			}
		}
		inv.Summary()
		Drift(inv, inv)
	})
}

func FuzzParsePURL(f *testing.F) {
	for _, s := range []string{"pkg:npm/%40babel/Core@7.0.0?a=b#c/d", "pkg:deb/debian/curl@1%3A2?arch=i386&distro=jessie"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParsePURL(s)
		if err != nil {
			return
		}
		normal := u.String()
		if len(normal) > maxPURL {
			return // escaped, it is longer than what is read
		}
		again, err := ParsePURL(normal)
		if err != nil || again.String() != normal || again.Base() != u.Base() {
			t.Errorf("%q becomes %q becomes %q: %v", s, normal, again, err)
		}
	})
}

// bigSPDX is a document in the shape that syft writes, of about 3.3 KiB per package.
func bigSPDX(packages int) []byte {
	var b strings.Builder
	b.WriteString(`{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","creationInfo":{"created":"2024-01-02T03:04:05Z","creators":["Tool: syft-1.2.3"]},"packages":[`)
	for i := range packages {
		fmt.Fprintf(&b, `{"name":"lib%d","SPDXID":"SPDXRef-Package-%d","versionInfo":"1.%d","supplier":"Organization: Somebody","downloadLocation":"NOASSERTION","filesAnalyzed":false,`+
			`"sourceInfo":"acquired package info from DPKG DB: /usr/share/doc/lib%d/copyright, /var/lib/dpkg/status","licenseConcluded":"NOASSERTION","licenseDeclared":"MIT AND GPL-2.0-only",`+
			`"copyrightText":"NOASSERTION","description":"%s","externalRefs":[`, i, i, i, i, strings.Repeat("what it does, and for whom. ", 8))
		for c := range 12 {
			fmt.Fprintf(&b, `{"referenceCategory":"SECURITY","referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a:lib%d:lib%d_%d:1.%d:*:*:*:*:*:*:*"},`, i, i, c, i)
		}
		fmt.Fprintf(&b, `{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:deb/debian/lib%d@1.%d?arch=amd64&distro=debian-12"}]},`, i, i)
	}
	b.WriteString(`{"name":"app","SPDXID":"SPDXRef-image","primaryPackagePurpose":"CONTAINER"}],"relationships":[`)
	for i := range packages * 4 {
		fmt.Fprintf(&b, `{"spdxElementId":"SPDXRef-Package-%d","relatedSpdxElement":"SPDXRef-Package-%d","relationshipType":"DEPENDENCY_OF"},`, i%packages, i*7%packages)
	}
	b.WriteString(`{"spdxElementId":"SPDXRef-DOCUMENT","relatedSpdxElement":"SPDXRef-image","relationshipType":"DESCRIBES"}]}`)
	return []byte(b.String())
}

func BenchmarkRead(b *testing.B) {
	for _, n := range []int{800, 3000} {
		doc := bigSPDX(n)
		b.Run(fmt.Sprintf("SPDX of %d packages, %d KiB", n, len(doc)>>10), func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if inv, err := Read("", doc); err != nil || len(inv.Packages) != n {
					b.Fatal(err)
				}
			}
		})
	}
}

// Generators give what a package manager installed no package URL where the image does not tell its distribution. It is a package of that manager nevertheless: one of nobody's would be asked about by nobody.
func TestReadWithoutDistribution(t *testing.T) {
	for format, document := range map[string]string{
		"spdx-2.3": `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","packages":[
			{"SPDXID":"SPDXRef-a","name":"musl","versionInfo":"1.2.5-r0","sourceInfo":"acquired package info from APK DB: /lib/apk/db/installed"},
			{"SPDXID":"SPDXRef-b","name":"thing","versionInfo":"1","sourceInfo":"acquired package info from SBOM: /x"}]}`,
		"spdx-2.3 tag-value": "SPDXVersion: SPDX-2.3\nSPDXID: SPDXRef-DOCUMENT\nPackageName: musl\nSPDXID: SPDXRef-a\nPackageVersion: 1.2.5-r0\nPackageSourceInfo: <text>acquired package info from APK DB: /lib/apk/db/installed</text>\n" +
			"PackageName: thing\nSPDXID: SPDXRef-b\nPackageVersion: 1\n",
		"spdx-3.0.1": `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[{"type":"SpdxDocument","spdxId":"urn:doc","rootElement":["urn:image"]},{"type":"software_Package","spdxId":"urn:image","name":"app","software_primaryPurpose":"container"},
			{"type":"software_Package","spdxId":"urn:a","name":"musl","software_packageVersion":"1.2.5-r0","software_sourceInfo":"acquired package info from APK DB: /lib/apk/db/installed"},
			{"type":"software_Package","spdxId":"urn:b","name":"thing","software_packageVersion":"1"}]}`,
		"cyclonedx-1.6": `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"bom-ref":"a","type":"library","name":"musl","version":"1.2.5-r0","properties":[{"name":"syft:package:type","value":"apk"}]},
			{"bom-ref":"b","type":"library","name":"thing","version":"1","properties":[{"name":"syft:package:type","value":"binary"}]}]}`,
		"syft": `{"artifacts":[{"id":"a","name":"musl","version":"1.2.5-r0","type":"apk","purl":""},{"id":"b","name":"thing","version":"1","type":"binary"}],"descriptor":{"name":"syft","version":"1"},"schema":{"version":"16.0.0","url":"https://raw.githubusercontent.com/anchore/syft/main/schema/json/schema-16.0.0.json"}}`,
	} {
		inv, err := Read("", []byte(document))
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		var got []string
		for _, p := range inv.Packages {
			got = append(got, p.Type+" "+p.PURL+" "+p.Base())
		}
		if want := []string{"apk pkg:apk/musl@1.2.5-r0 pkg:apk/musl", "unknown  pkg:unknown/thing"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q", format, got)
		}
	}
}
