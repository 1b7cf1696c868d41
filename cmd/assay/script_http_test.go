package main_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// call makes one request to the script's registry. An empty user sends no credentials.
func call(ts *testscript.TestScript, user, method, path string, header http.Header, body []byte) (*http.Response, []byte) {
	if !strings.HasPrefix(path, "http://") {
		path = "http://" + serverOf(ts).address + path
	}
	req, err := http.NewRequest(method, path, bytes.NewReader(body))
	ts.Check(err)
	for key, values := range header {
		req.Header[key] = values
	}
	if user != "" {
		req.SetBasicAuth(user, user+"-secret")
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	return resp, answer
}

// cmdHTTP makes one request and prints status, headers and body. It never fails by the status: scripts match it.
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	user, header, body := "", http.Header{}, []byte(nil)
	for len(args) > 2 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-u":
			user = args[1]
		case "-H":
			key, value, _ := strings.Cut(args[1], ":")
			header.Add(strings.TrimSpace(key), strings.TrimSpace(value))
		case "-f":
			body = []byte(ts.ReadFile(args[1]))
		default:
			ts.Fatalf("unknown flag %s", args[0])
		}
		args = args[2:]
	}
	if neg || len(args) != 2 {
		ts.Fatalf("usage: http [-u USER] [-H 'K: V'] [-f FILE] METHOD PATH")
	}
	resp, answer := call(ts, user, args[0], args[1], header, body)
	fmt.Fprintln(ts.Stdout(), resp.Status)
	ts.Check(resp.Header.Write(ts.Stdout()))
	fmt.Fprintf(ts.Stdout(), "\n%s\n", answer)
}

func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// upload pushes one blob in a single POST and PUT.
func upload(ts *testscript.TestScript, user, repo string, content []byte) string {
	d := digestOf(content)
	resp, answer := call(ts, user, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil, nil)
	if resp.StatusCode != http.StatusAccepted {
		ts.Fatalf("starting an upload to %s as %s: %s\n%s", repo, user, resp.Status, answer)
	}
	location, err := resp.Location()
	ts.Check(err)
	query := location.Query()
	query.Set("digest", d)
	location.RawQuery = query.Encode()
	resp, answer = call(ts, user, http.MethodPut, location.String(), http.Header{"Content-Type": {"application/octet-stream"}}, content)
	if resp.StatusCode != http.StatusCreated {
		ts.Fatalf("uploading %d bytes to %s as %s: %s\n%s", len(content), repo, user, resp.Status, answer)
	}
	return d
}

// cmdBlob is "blob USER REPOSITORY FILE VARIABLE": it uploads the file as it is and puts its digest into the variable, its size into VARIABLE_size.
func cmdBlob(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: blob USER REPOSITORY FILE VARIABLE")
	}
	content := []byte(ts.ReadFile(args[2]))
	ts.Setenv(args[3], upload(ts, args[0], args[1], content))
	ts.Setenv(args[3]+"_size", strconv.Itoa(len(content)))
}

// cmdManifest is "manifest USER REPOSITORY REFERENCE FILE MEDIATYPE VARIABLE": it puts the file, in which $NAMES are replaced as in
// scripts, as a manifest. Reference "-" stands for the digest of the bytes. The answer goes to stdout, the digest into the variable, the size into VARIABLE_size.
func cmdManifest(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 6 {
		ts.Fatalf("usage: manifest USER REPOSITORY REFERENCE FILE MEDIATYPE VARIABLE")
	}
	content := []byte(expand(ts, ts.ReadFile(args[3])))
	d, ref := digestOf(content), args[2]
	if ref == "-" {
		ref = d
	}
	resp, answer := call(ts, args[0], http.MethodPut, "/v2/"+args[1]+"/manifests/"+ref, http.Header{"Content-Type": {args[4]}}, content)
	fmt.Fprintln(ts.Stdout(), resp.Status)
	ts.Check(resp.Header.Write(ts.Stdout()))
	fmt.Fprintf(ts.Stdout(), "\n%s\n", answer)
	if neg == (resp.StatusCode == http.StatusCreated) {
		ts.Fatalf("PUT manifest: %s\n%s", resp.Status, answer)
	}
	ts.Setenv(args[5], d)
	ts.Setenv(args[5]+"_size", strconv.Itoa(len(content)))
}

// expand replaces ${NAME} by the script's variable.
func expand(ts *testscript.TestScript, text string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString(ts.Getenv(name))
		text = after
	}
}

// cmdReferrer is "referrer USER REPOSITORY SUBJECT ARTIFACTTYPE": it waits until the subject has a referrer of that type, such as the SBOM
// that the registry attaches after the admission.
func cmdReferrer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: referrer USER REPOSITORY SUBJECT ARTIFACTTYPE")
	}
	deadline := time.After(ready)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, answer := call(ts, args[0], http.MethodGet, "/v2/"+args[1]+"/referrers/"+args[2], nil, nil)
		if resp.StatusCode != http.StatusOK {
			ts.Fatalf("referrers of %s: %s\n%s", args[2], resp.Status, answer)
		}
		if strings.Contains(string(answer), `"artifactType":"`+args[3]+`"`) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s has no referrer of type %s after %v:\n%s", args[2], args[3], ready, answer)
		}
	}
}
