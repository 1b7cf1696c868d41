// Package metrics are the series of a running registry, counted when somebody asks, with labels of closed sets.
package metrics
