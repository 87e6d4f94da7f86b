package status_test

import (
	"bytes"
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// color is red, green and blue of sRGB, from 0 to 1.
type color [3]float64

// palette is what the style sheet calls its colors, for light and for dark.
func palette(t *testing.T) (schemes [2]map[string]color) {
	t.Helper()
	sheet, err := os.ReadFile("assets/style.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes = [2]map[string]color{{}, {}}
	lines := regexp.MustCompile(`--([a-z-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\);`).FindAllStringSubmatch(string(sheet), -1)
	for _, line := range lines {
		for i, scheme := range schemes {
			n, _ := strconv.ParseUint(line[2+i], 16, 32)
			scheme[line[1]] = color{float64(n>>16) / 255, float64(n>>8&255) / 255, float64(n&255) / 255}
		}
	}
	if len(schemes[0]) < 20 {
		t.Fatalf("the style sheet has %d colors", len(schemes[0]))
	}
	return schemes
}

// linear is a color without the curve of sRGB.
func (c color) linear() (l color) {
	for i, v := range c {
		if v <= 0.04045 {
			l[i] = v / 12.92
		} else {
			l[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return l
}

// contrast is that of WCAG 2.2, from 1 to 21.
func contrast(a, b color) float64 {
	luminance := func(c color) float64 {
		l := c.linear()
		return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
	}
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// TestContrast computes the contrast of each pair of colors that the page puts on each
// other: WCAG 2.2 level AA wants 4.5 for text, and 3 for what shows something else.
func TestContrast(t *testing.T) {
	texts := map[string][]string{
		"text":           {"page", "panel", "raised", "hover", "warn-panel", "bad-panel"},
		"muted":          {"page", "panel", "raised", "hover", "warn-panel"},
		"accent":         {"page", "panel", "hover"},
		"good":           {"panel", "hover"},
		"bad":            {"panel", "hover", "bad-panel"},
		"warn":           {"panel", "hover", "warn-panel"},
		"iterative-text": {"panel", "hover"},
		"forwarded-text": {"panel", "hover"},
		"direct-text":    {"panel", "hover"},
		"on-accent":      {"accent"},
		"panel":          {"text"}, // what is announced
	}
	shapes := map[string][]string{
		"control":   {"panel", "raised"},
		"warn-edge": {"panel"},
		"iterative": {"panel", "raised"},
		"forwarded": {"panel", "raised"},
		"direct":    {"panel", "raised"},
		"accent":    {"panel", "page", "raised"},
	}
	for i, scheme := range palette(t) {
		for want, pairs := range map[float64]map[string][]string{4.5: texts, 3: shapes} {
			for front, backs := range pairs {
				for _, back := range backs {
					a, known := scheme[front]
					b, knownToo := scheme[back]
					if !known || !knownToo {
						t.Fatalf("there is no color --%s or --%s", front, back)
					}
					if got := contrast(a, b); got < want {
						t.Errorf("%s: --%s on --%s has a contrast of %.2f, want %.1f", [2]string{"light", "dark"}[i], front, back, got, want)
					}
				}
			}
		}
	}
}

// TestColorBlind looks at the paths' colors and at amber as people see them who lack
// one of the three kinds of cones: they stay apart. Dashes and words tell as well.
func TestColorBlind(t *testing.T) {
	// Viénot, Brettel and Mollon 1999, in linear sRGB.
	lacks := map[string][3][3]float64{
		"nothing": {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
		"red":     {{0.11238, 0.88762, 0}, {0.11238, 0.88762, 0}, {0.00401, -0.00401, 1}},
		"green":   {{0.29275, 0.70725, 0}, {0.29275, 0.70725, 0}, {-0.02234, 0.02234, 1}},
	}
	names := []string{"iterative", "forwarded", "direct", "warn-edge"}
	for i, scheme := range palette(t) {
		for what, matrix := range lacks {
			see := func(c color) (seen color) {
				l := c.linear()
				for row := range 3 {
					for column := range 3 {
						seen[row] += matrix[row][column] * l[column]
					}
				}
				return seen
			}
			for j, a := range names {
				for _, b := range names[j+1:] {
					if d := difference(see(scheme[a]), see(scheme[b])); d < 15 {
						t.Errorf("%s, without %s: --%s and --%s are %.0f apart, want 15", [2]string{"light", "dark"}[i], what, a, b, d)
					}
				}
			}
		}
	}
}

// difference is how far apart two linear colors are in CIELAB; 2 can just be told.
func difference(a, b color) float64 {
	la, lb := lab(a), lab(b)
	return math.Sqrt(math.Pow(la[0]-lb[0], 2) + math.Pow(la[1]-lb[1], 2) + math.Pow(la[2]-lb[2], 2))
}

func lab(c color) color {
	f := func(v float64) float64 {
		if v > 216.0/24389 {
			return math.Cbrt(v)
		}
		return (24389.0/27*v + 16) / 116
	}
	x := f((0.4124*c[0] + 0.3576*c[1] + 0.1805*c[2]) / 0.9505)
	y := f(0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2])
	z := f((0.0193*c[0] + 0.1192*c[1] + 0.9505*c[2]) / 1.089)
	return color{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

// TestScriptsMakeNoMarkup holds the scripts to what keeps names from the wire from
// becoming markup, and to the policy.
func TestScriptsMakeNoMarkup(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\(|new Function|setAttribute\('style'|cssText|https?://`)
	files, err := os.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !regexp.MustCompile(`\.(js|css)$`).MatchString(file.Name()) {
			continue
		}
		text, err := os.ReadFile("assets/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("'http://www.w3.org/2000/svg'"), nil) // a name, which nobody loads
		if found := forbidden.Find(text); found != nil {
			t.Errorf("%s has %s", file.Name(), found)
		}
		if lines := bytes.Count(text, []byte("\n")); lines > 400 {
			t.Errorf("%s has %d lines", file.Name(), lines)
		}
	}
}
