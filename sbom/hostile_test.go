package sbom

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// A document of as many bytes as are read, whatever it is full of, takes a bounded multiple of them: it is read in the registry's own process.
func TestHostileDocumentsEndEarly(t *testing.T) {
	const spdx = `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"x",`
	const spdx3 = `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld",`
	const size, most = 24 << 20, 800 << 20 // allocated in all, with what a growing list leaves behind
	for name, c := range map[string][3]string{
		"components": {`{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[`, `{"name":"%d"}`, `]}`},
		"nested":     {`{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[{"type":"file","components":[`, `{"name":"%d"}`, `]}]}`},
		"packages":   {spdx + `"packages":[`, `{"SPDXID":"%d"}`, `]}`},
		"roots":      {spdx + `"documentDescribes":[`, `"%d"`, `]}`},
		"ties":       {spdx + `"relationships":[`, `{}`, `]}`},
		"files":      {spdx + `"files":[`, `{"SPDXID":"%d"}`, `]}`},
		"licences":   {spdx + `"hasExtractedLicensingInfos":[`, `{"licenseId":"%d"}`, `]}`},
		"graph":      {spdx3 + `"@graph":[`, `{"type":"software_Package","name":"%d"}`, `]}`},
		"graph ties": {spdx3 + `"@graph":[`, `{"type":"Relationship","to":["%d","%[1]d"]}`, `]}`},
		"elements":   {`<bom xmlns="http://cyclonedx.org/schema/bom/1.6"><components>`, `<component type="operating-system"/>`, `</components></bom>`},
		"tags":       {"SPDXVersion: SPDX-2.3\nRelationship: a b c\n", "FileName:a\nSPDXID:%d\n", ""},
		"tag names":  {"SPDXVersion: SPDX-2.3\nRelationship: a b c\n", "LicenseID:%d\nLicenseName:a\n", ""},
		"artifacts":  {`{"schema":{"version":"16.0.0"},"descriptor":{"name":"syft"},"artifacts":[`, `{"name":"%d"}`, `]}`},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			b.WriteString(c[0])
			for n := 0; b.Len() < size; n++ {
				if n > 0 && c[0][0] == '{' {
					b.WriteByte(',')
				}
				if strings.Contains(c[1], "%d") {
					fmt.Fprintf(&b, c[1], n)
				} else {
					b.WriteString(c[1])
				}
			}
			b.WriteString(c[2])
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Read("", b.Bytes())
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("it took %d MiB", took>>20)
			}
			if fits := name == "graph ties"; err == nil && fits { // fewer than there may be go into a document
				return
			}
			if err == nil || !strings.Contains(err.Error(), "it has more than") {
				t.Errorf("%v", err)
			}
		})
	}
	files := `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[` + strings.Repeat(`{"type":"file","name":"x"},`, 3*MaxPackages) + `{"type":"library","name":"y"}]}`
	if inv, err := Read("", []byte(files)); err != nil || len(inv.Packages) != 1 {
		t.Errorf("a document full of files: %v", err)
	}
}

// Relationships are what a document can have most of. All that fit into one take a few times its bytes, all in all: what is kept of them is a pair of numbers, or nothing.
func TestRelationshipsTakeLittleMemory(t *testing.T) {
	const spdx = `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"x",`
	const spdx3 = `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[`
	const most = 6 * MaxDocument // allocated in all, with what a growing list leaves behind
	for name, c := range map[string][3]string{
		"empty":          {spdx + `"relationships":[`, `{}`, `]}`},
		"needs":          {spdx + `"relationships":[`, `{"spdxElementId":"%d","relationshipType":"CONTAINS","relatedSpdxElement":"x%[1]d"}`, `]}`},
		"evident":        {spdx + `"relationships":[`, `{"spdxElementId":"%d","relationshipType":"OTHER","relatedSpdxElement":"x%[1]d"}`, `]}`},
		"described":      {spdx + `"relationships":[`, `{"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES","relatedSpdxElement":"%d"}`, `]}`},
		"others":         {spdx + `"relationships":[`, `{"relationshipType":"X","relatedSpdxElement":"x%d"}`, `]}`},
		"tags":           {"SPDXVersion: SPDX-2.3\n", "Relationship:%d CONTAINS x\n", ""},
		"one of many":    {spdx3 + `{"type":"Relationship","from":"a","relationshipType":"contains","to":[`, `"%d"`, `]}]}`},
		"one of nothing": {spdx3 + `{"type":"Relationship","from":"a","relationshipType":"contains","to":[`, `""`, `]}]}`},
		"graph":          {spdx3, `{"type":"Relationship","from":"%d","relationshipType":"contains","to":["x"]}`, `]}`},
		"graph of empty": {spdx3, `{"type":"Relationship"}`, `]}`},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			b.Grow(MaxDocument)
			b.WriteString(c[0])
			for n := 0; b.Len() < MaxDocument-200; n++ {
				if n > 0 && c[0][0] == '{' {
					b.WriteByte(',')
				}
				if strings.Contains(c[1], "%d") {
					fmt.Fprintf(&b, c[1], n)
				} else {
					b.WriteString(c[1])
				}
			}
			b.WriteString(c[2])
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Read("", b.Bytes())
			runtime.ReadMemStats(&after)
			took := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d MiB, %v", took>>20, err)
			if took > most {
				t.Errorf("it took %d MiB", took>>20)
			}
			if err != nil && !strings.Contains(err.Error(), "it has more than") {
				t.Error(err)
			}
		})
	}
}
