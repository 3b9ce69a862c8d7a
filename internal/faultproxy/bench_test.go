// SPDX-License-Identifier: Apache-2.0

package faultproxy

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
)

// BenchmarkCreate measures 32 clients that create Secrets, straight and through
// the proxy: the difference of the two ns/op is the proxy's cost.
func BenchmarkCreate(b *testing.B) {
	created := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	}
	for name, hops := range map[string]int{"straight": 0, "proxied": 1} {
		b.Run(name, func(b *testing.B) {
			p := start(b, created, Options{})
			config := clientConfig(b, p)
			if hops == 0 {
				config.Host = p.base.String()
			}
			c, err := rest.UnversionedRESTClientFor(config)
			if err != nil {
				b.Fatal(err)
			}
			var failed atomic.Int64
			b.SetParallelism(16) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := c.Post().AbsPath("/a").Body(make([]byte, 400)).Do(b.Context()).Error(); err != nil {
						failed.Add(1)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
			if n := len(p.Requests()); failed.Load() > 0 || n != hops*b.N {
				b.Errorf("%d failed, %d of %d seen", failed.Load(), n, b.N)
			}
		})
	}
}
