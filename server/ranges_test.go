package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestD5_ContentRange(t *testing.T) {
	for in, want := range map[string]string{
		"0-0": "0+1", "0-4": "0+5", "5-9": "5+5", "00-4": "0+5", "0-9223372036854775806": "0+9223372036854775807",
		"": "", "-": "", "0": "", "0-": "", "-5": "", "5-4": "", "a-b": "", "0-4/*": "", "bytes 0-4/*": "", "bytes 0-4/10": "", "0-4-5": "", " 0-4": "", "0-4 ": "",
		"+0-4": "", "0x0-0x4": "", "0-9223372036854775807": "", "0-18446744073709551616": "", "9223372036854775808-9223372036854775809": "", "1e3-1e4": "", "0–4": "",
	} {
		first, length, err := parseContentRange(in)
		got := fmt.Sprintf("%d+%d", first, length)
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestJudgeRange(t *testing.T) {
	for in, want := range map[string]rangeAnswer{
		"": rangeWhole, "lines=1-2": rangeWhole, "bytes=0-0": rangePart, "bytes=500-": rangePart, "bytes=-500": rangePart, "bytes=-5000": rangePart,
		"bytes=900-2000": rangePart, "bytes=1000-": rangeUnsatisfiable, "bytes=5000-6000": rangeUnsatisfiable, "bytes=500-0": rangeUnsatisfiable,
		"bytes=-0": rangeUnsatisfiable, "bytes=": rangeUnsatisfiable, "bytes=x": rangeUnsatisfiable, "bytes=0-1,5000-": rangePart, "bytes=0-1,x": rangeUnsatisfiable,
		"bytes=0-1, 2-3": rangePart, "bytes=" + strings.Repeat("0-0,", 17): rangeWhole, "bytes=0-99999999999999999999": rangeUnsatisfiable,
	} {
		if got := judgeRange(in, 1000); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"0-4", "5-4", "-", "0-9223372036854775807", "bytes 0-4/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, length, err := parseContentRange(s)
		if err == nil && (first < 0 || length <= 0 || first > maxNumber-length) {
			t.Fatalf("%q: %d+%d", s, first, length)
		}
	})
}

// FuzzRange holds that what judgeRange lets pass is what net/http serves, so that no plain-text error of its own gets out.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=0-1,3-4", "bytes=99-", "bytes= 0-1", "bytes=0-1 ,2-3", "bytes=,", "bytes=--1"} {
		f.Add(s)
	}
	content := bytes.Repeat([]byte("0123456789"), 5)
	f.Fuzz(func(t *testing.T, s string) {
		if judgeRange(s, int64(len(content))) != rangePart {
			return
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Range", s)
		w := httptest.NewRecorder()
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		if w.Code != http.StatusPartialContent && w.Code != http.StatusOK {
			t.Fatalf("%q: net/http answers %d", s, w.Code)
		}
	})
}

func TestExact(t *testing.T) {
	for _, tc := range []struct {
		body string
		want int64
		ok   bool
	}{{"hello", 5, true}, {"hello", 4, false}, {"hello", 6, false}, {"", 1, false}} {
		n, err := io.Copy(io.Discard, &exact{r: strings.NewReader(tc.body), left: tc.want})
		if (err == nil) != tc.ok || n > tc.want || err != nil && err != error(errLength) {
			t.Errorf("%q as %d bytes: %d, %v", tc.body, tc.want, n, err)
		}
	}
}
