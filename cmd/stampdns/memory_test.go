package main

import "testing"

func TestTidier(t *testing.T) {
	const mb = 1 << 20
	for _, tc := range []struct {
		name  string
		grown []uint64 // between looks, in MiB
		want  []bool
	}{
		{"nothing", []uint64{0, 0}, []bool{false, false}},
		{"small changes", []uint64{1, 7, 1, 7, 7, 7, 7, 7, 7, 7, 7, 7}, make([]bool, 12)},
		{"one medium load", []uint64{63, 0}, []bool{false, false}},
		{"one large load", []uint64{64, 0, 0}, []bool{false, true, false}},
		{"a load over several looks", []uint64{30, 30, 30, 3, 0}, []bool{false, false, false, true, false}},
		{"twice", []uint64{500, 1, 500, 1}, []bool{false, true, false, true}},
	} {
		tidy, sum := tidier{before: 12345}, uint64(12345)
		for i, n := range tc.grown {
			sum += n * mb
			if got := tidy.look(sum); got != tc.want[i] {
				t.Errorf("%s: look %d says %v", tc.name, i, got)
			}
		}
	}
}
