package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/assay-registry/assay/server/auth"
	"github.com/prometheus/client_golang/prometheus"
)

func TestD16_MetricsAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := newHouse(t, func(o *Options, _ *auth.Options) { o.Metrics = registry })
	for i := range 500 {
		for _, target := range []string{"/v2/acme/r%d/manifests/v1", "/v2/acme/app/manifests/t%d", "/v2/%d", "/x/%d", "/api/v1/decisions/d%d", "/v2/acme/app/tags/list?n=%d"} {
			h.ask("dev", "GET", fmt.Sprintf(target, i), nil, fmt.Sprintf("User-Agent: ua%d", i))
		}
		r := httptest.NewRequestWithContext(t.Context(), fmt.Sprintf("M%d", i), "/v2/", nil)
		h.handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := 0
	for _, f := range families {
		series += len(f.GetMetric())
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if strings.ContainsAny(l.GetValue(), "0123456789") && l.GetName() != "status" {
					t.Fatalf("%s has the label %s=%q", f.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
	if series == 0 || series > 100 {
		t.Errorf("%d series", series)
	}
}

func TestRequestLog(t *testing.T) {
	h := newHouse(t, nil)
	h.put("dev", "acme/app", "v1", image("", ""))
	line := h.log.String()[strings.LastIndex(strings.TrimSpace(h.log.String()), "\n")+1:]
	for _, want := range []string{`"method":"PUT"`, `"route":"manifest"`, `"repository":"acme/app"`, `"reference":"v1"`, `"status":201`, `"principal":"dev"`, `"client":"192.0.2.7"`, `"id":"00000000-1"`, `"duration":`, `"received":`} {
		if !strings.Contains(line, want) {
			t.Errorf("%s is not in %s", want, line)
		}
	}
	h.want(404, "dev", "GET", "/v2/acme/app/manifests/v9", nil)
	if !strings.Contains(h.log.String(), `"code":"MANIFEST_UNKNOWN"`) {
		t.Errorf("%s", h.log)
	}
	before := len(h.log.String())
	h.want(200, "", "GET", "/healthz", nil)
	if len(h.log.String()) != before {
		t.Error("health checks fill the log")
	}
}

func TestD11_LogLinesCannotBeForged(t *testing.T) {
	for name, handler := range map[string]func(*syncBuffer) slog.Handler{
		"json": func(b *syncBuffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		"text": func(b *syncBuffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		log := &syncBuffer{}
		h := newHouse(t, func(o *Options, a *auth.Options) {
			o.Log = slog.New(handler(log))
			a.Log = o.Log
		})
		evil := "x\r\nlevel=ERROR msg=forged\x1b[2J\x00\x7f\u009b\",\"a\":\""
		for _, target := range []string{"/v2/acme/%0d%0amsg=forged/manifests/v1", "/v2/acme/app/manifests/%1b[2J"} {
			h.ask("dev", "GET", target, nil, "User-Agent: "+evil, "X-Request-Id: "+evil)
		}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/v2/", nil)
		r.Method, r.URL.Path = evil, "/"+evil
		r.SetBasicAuth(evil, evil)
		h.handler.ServeHTTP(httptest.NewRecorder(), r)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 3 {
			t.Errorf("%s: %d lines:\n%s", name, len(lines), log)
		}
		if i := bytes.IndexFunc([]byte(strings.ReplaceAll(log.String(), "\n", "")), func(r rune) bool { return r < ' ' || r == 0x7f && name == "text" }); i >= 0 {
			t.Errorf("%s: a control byte is in the log: %q", name, log)
		}
	}
}

func TestC19_CanaryIsNowhere(t *testing.T) {
	const canary = "CANARY-7d1e"
	h := newHouse(t, nil)
	answers := ""
	for _, header := range []string{"Authorization: Basic Q0FOQVJZLTdkMWU6Q0FOQVJZLTdkMWU=", "Authorization: Bearer " + canary, "Authorization: " + canary, "Cookie: s=" + canary, "X-Api-Key: " + canary} {
		for _, target := range []string{"/v2/", "/v2/acme/app/manifests/v1", "/auth/token?service=assay&account=x&password=" + canary, "/api/v1/users", "/v2/acme/app/blobs/uploads/?token=" + canary} {
			for _, method := range []string{"GET", "POST"} {
				answers += h.ask("", method, target, []byte(`{"password":"`+canary+`"}`), header, "Content-Type: application/json").Body.String()
			}
		}
	}
	answers += h.ask("", "POST", "/auth/token", []byte("grant_type=password&username="+canary+"&password="+canary), "Content-Type: application/x-www-form-urlencoded").Body.String()
	for _, body := range []string{`{"name":"x","password":"` + canary + `"}`, `{"password":["` + canary + `"]}`, `{"` + canary + `":1}`, canary} {
		answers += h.ask("root", "POST", "/api/v1/users", []byte(body), "Content-Type: application/json").Body.String()
	}
	answers += h.ask("root", "GET", "/metrics", nil).Body.String()
	if strings.Contains(answers, canary) || strings.Contains(h.log.String(), canary) || strings.Contains(h.log.String(), password) {
		t.Errorf("a secret got out:\n%s\n%s", answers, h.log)
	}
}
