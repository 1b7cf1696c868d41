package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// processMetrics are which program runs, and the room that it has left.
type processMetrics struct{ release, data string }

var _ prometheus.Collector = processMetrics{}

func (m processMetrics) series() (build, free *prometheus.Desc) {
	return prometheus.NewDesc("assay_build_info", "1, with the program's version and that of Go.", []string{"version", "go"}, nil),
		prometheus.NewDesc("assay_disk_free_bytes", "Free bytes of the disk with the data directory.", nil, nil)
}

// Describe implements prometheus.Collector.
func (m processMetrics) Describe(c chan<- *prometheus.Desc) {
	build, free := m.series()
	c <- build
	c <- free
}

// Collect implements prometheus.Collector.
func (m processMetrics) Collect(c chan<- prometheus.Metric) {
	build, free := m.series()
	c <- prometheus.MustNewConstMetric(build, prometheus.GaugeValue, 1, m.release, runtime.Version())
	var st unix.Statfs_t
	if err := unix.Statfs(m.data, &st); err == nil { // without an answer there is no series: nobody takes it for a full disk, and its absence can be asked for
		c <- prometheus.MustNewConstMetric(free, prometheus.GaugeValue, float64(int64(st.Bavail)*st.Bsize))
	}
}
