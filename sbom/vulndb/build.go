package vulndb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
)

// Advisories is what was written of a source.
type Advisories struct {
	Count  int
	Newest time.Time // the newest change of an advisory; zero where none says when
}

// WriteAdvisories writes the records of a source as the layer of advisories: compact JSON, one a line, members in the order of their names, without the long text and the credits that nobody
// matches by. A record that several files have is written once: the one that was modified last, the first of those. open gives the source anew; create gives an empty place to
// write to, and forgets what was written to the one before. Each is called twice where a later file had a newer record. see is told of each record as it is read, when it was modified (zero: nobody
// says) and of which ecosystems it speaks; nil wants to know nothing. Errors: those of the source; CodeInvalid for a record without an id.
func WriteAdvisories(ctx context.Context, open func() (osv.Source, error), create func() (io.Writer, error), see func(modified time.Time, ecosystems []string)) (Advisories, error) {
	newest := map[string]time.Time{}
	for {
		out, stale, err := writeOnce(ctx, newest, open, create, see)
		if err != nil || !stale {
			return out, err
		}
	}
}

// writeOnce writes the records that are the newest of their id, as far as newest knows. stale: a later one was newer than one that was written; newest knows it now.
func writeOnce(ctx context.Context, newest map[string]time.Time, open func() (osv.Source, error), create func() (io.Writer, error), see func(time.Time, []string)) (out Advisories, stale bool, err error) {
	source, err := open()
	if err != nil {
		return out, false, err
	}
	to, err := create()
	if err != nil {
		return out, false, err
	}
	w, err := compressor(to)
	if err != nil {
		return out, false, err
	}
	defer func() {
		if closed := w.Close(); err == nil {
			err = closed
		}
	}()
	written := map[string]bool{}
	for {
		e, err := source.Next()
		if err == io.EOF && !source.Whole() {
			return out, false, store.Errorf(store.CodeInvalid, "one of the files does not prove that nothing is missing at its end; pack JSON lines by gzip or zstd, as one file and not several joined")
		}
		if err == io.EOF {
			return out, stale, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return out, false, err
		}
		id, at, spoken, line, err := compact(e)
		if err != nil {
			return out, false, err
		}
		if see != nil {
			see(at, spoken)
		}
		if known, ok := newest[id]; !ok || at.After(known) {
			newest[id] = at
			stale = stale || written[id]
		} else if at.Before(known) || written[id] {
			continue
		}
		if written[id] = true; len(written) > osv.MaxRecords {
			return out, false, store.Errorf(store.CodeInvalid, "the files have more than %d advisories; make several databases of them", osv.MaxRecords)
		}
		if at.After(out.Newest) {
			out.Newest = at
		}
		out.Count = len(written)
		if _, err := w.Write(line); err != nil {
			return out, false, err
		}
	}
}

// compressor is an encoder whose bytes depend on nothing but its input: one block after the other.
func compressor(w io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20), zstd.WithEncoderLevel(zstd.SpeedDefault))
}

// compact is a record as a line.
func compact(e osv.Entry) (id string, modified time.Time, ecosystems []string, line []byte, err error) {
	if len(e.JSON) > osv.MaxRecord {
		return "", modified, nil, nil, store.Errorf(store.CodeInvalid, "%.300s has %d bytes; a record has at most %d", e.Name, len(e.JSON), osv.MaxRecord)
	}
	members := map[string]json.RawMessage{}
	if err := errors.Join(store.StrictJSON(e.JSON), json.Unmarshal(e.JSON, &members)); err != nil {
		return "", modified, nil, nil, store.Errorf(store.CodeInvalid, "%.300s is no record of OSV's schema: %w", e.Name, err)
	}
	var at string
	if json.Unmarshal(members["id"], &id) != nil || id == "" || len(id) > 128 {
		return "", modified, nil, nil, store.Errorf(store.CodeInvalid, "%.300s has no id, so that it is no record of OSV's schema", e.Name)
	}
	if json.Unmarshal(members["modified"], &at) == nil {
		if t, err := time.Parse(time.RFC3339, at); err == nil {
			modified = t.UTC()
		}
	}
	delete(members, "details")
	delete(members, "credits")
	var b bytes.Buffer
	encoder := json.NewEncoder(&b) // which ends each value by a line, and takes blanks out of raw ones
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(members); err != nil {
		return "", modified, nil, nil, store.Errorf(store.CodeInvalid, "%.300s cannot be written: %w", e.Name, err)
	}
	return id, modified, spokenOf(members["affected"]), b.Bytes(), nil
}

// spokenOf lists the ecosystems of what a record says is affected. What is not of the schema, the import refuses.
func spokenOf(affected json.RawMessage) []string {
	var all []struct {
		Package struct {
			Ecosystem string `json:"ecosystem"`
			Name      string `json:"name"`
			PURL      string `json:"purl"`
		} `json:"package"`
	}
	if json.Unmarshal(affected, &all) != nil {
		return nil
	}
	found := map[string]bool{}
	for _, a := range all {
		if s := vulns.Speaks(&osv.AffectedPackage{Ecosystem: a.Package.Ecosystem, Name: a.Package.Name, PURL: a.Package.PURL}); s != "" {
			found[s] = true
		}
	}
	return slices.Collect(maps.Keys(found))
}

// WriteEPSS writes scores as their layer, plain or packed as they come, and counts them. built is the day of the scores as the file says it; zero if it does not. Errors: CodeInvalid.
func WriteEPSS(name string, r io.Reader, w io.Writer) (count int, built time.Time, err error) {
	seen := map[string]bool{}
	err = repack(name, r, w, func(line string, n int) error {
		cve, _, _ := strings.Cut(line, ",")
		switch {
		case strings.HasPrefix(line, "#"):
			if _, date, ok := strings.Cut(line, "score_date:"); ok {
				built = day(date)
			}
		case strings.HasPrefix(line, "cve,"):
		case !strings.HasPrefix(line, "CVE-") || strings.Count(line, ",") != 2:
			return store.Errorf(store.CodeInvalid, "line %d of %.200s is no score of EPSS (cve,epss,percentile)", n, name)
		case seen[cve]: // nobody would take it
			return store.Errorf(store.CodeInvalid, "line %d of %.200s is the second one about %.40s, so it is several files in one, or damaged; fetch it again", n, name, cve)
		default:
			seen[cve] = true
			count++
		}
		return nil
	})
	if err == nil && count == 0 {
		err = store.Errorf(store.CodeInvalid, "%.200s holds no score", name)
	}
	return count, built, err
}

// day reads the beginning of a time: publishers write its end in different ways.
func day(s string) time.Time {
	s = strings.TrimSpace(s)
	if t, err := time.Parse(time.DateOnly, s[:min(len(s), len(time.DateOnly))]); err == nil {
		return t
	}
	return time.Time{}
}

// repack unpacks lines, shows them, and writes them packed.
func repack(name string, r io.Reader, w io.Writer, see func(line string, n int) error) (err error) {
	plain, err := osv.Unpack(name, r, MaxSide)
	if err != nil {
		return err
	}
	z, err := compressor(w)
	if err != nil {
		return err
	}
	defer func() {
		if closed := z.Close(); err == nil {
			err = closed
		}
	}()
	lines := bufio.NewScanner(plain)
	lines.Buffer(make([]byte, 0, 4096), 64<<10)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "" {
			continue
		}
		if err := see(line, n); err != nil {
			return err
		}
		if _, err := io.WriteString(z, line+"\n"); err != nil {
			return err
		}
	}
	if err := lines.Err(); !errors.Is(err, bufio.ErrTooLong) {
		return err
	}
	return store.Errorf(store.CodeInvalid, "%.200s has a line of more than 64 KiB, so it is damaged or something else; fetch it again", name)
}

// maxCatalogue is the most bytes of a KEV catalogue: today's has one and a half million.
const maxCatalogue = 64 << 20

// WriteKEV writes a catalogue as its layer, plain or packed as it comes, and counts its entries. built is when it was released; zero if it does not say. Errors: CodeInvalid.
func WriteKEV(name string, r io.Reader, w io.Writer) (count int, built time.Time, err error) {
	plain, err := osv.Unpack(name, r, maxCatalogue)
	if err != nil {
		return 0, built, err
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		return 0, built, err
	}
	var c struct {
		Released string `json:"dateReleased"`
		List     []struct {
			ID string `json:"cveID"`
		} `json:"vulnerabilities"`
	}
	if err := errors.Join(store.StrictJSON(text), json.Unmarshal(text, &c)); err != nil {
		return 0, built, store.Errorf(store.CodeInvalid, "%.200s is no KEV catalogue (JSON): %w", name, err)
	}
	if len(c.List) == 0 || c.List[0].ID == "" {
		return 0, built, store.Errorf(store.CodeInvalid, "%.200s lists no vulnerability; is it CISA's known_exploited_vulnerabilities.json?", name)
	}
	if built, err = time.Parse(time.RFC3339, c.Released); err != nil {
		built = day(c.Released)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return 0, built, err
	}
	z, err := compressor(w)
	if err != nil {
		return 0, built, err
	}
	_, err = z.Write(b.Bytes())
	return len(c.List), built.UTC(), errors.Join(err, z.Close())
}
