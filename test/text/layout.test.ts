import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { atMost, milliseconds, NO_DATA, oneLine, percent } from "../../coordinator/text/format.ts";
import { bar, paragraph } from "../../coordinator/text/layout.ts";
import { painter } from "../../coordinator/text/paint.ts";

describe("numbers", () => {
  test("a share that is neither nothing nor the whole never prints as 0 % or 100 %", () => {
    assert.deepEqual([0, 1, 0.5, 0.9996, 0.0018, 1.004].map(percent), [
      "0 %",
      "100 %",
      "50 %",
      "99.9 %",
      "0.18 %",
      "100.4 %",
    ]);
    fc.assert(
      fc.property(fc.double({ min: 1e-12, max: 2, noNaN: true }), (share) => {
        fc.pre(share * 100 !== 100);
        assert.ok(!["0 %", "100 %"].includes(percent(share)), `${share} prints as ${percent(share)}`);
      }),
    );
  });

  test("a bound is never rounded down", () => {
    assert.deepEqual([3 / 75, 3 / 137, 3 / 1000, 3 / 1652, 3].map(atMost), [
      "4 %",
      "2.2 %",
      "0.3 %",
      "0.19 %",
      "300 %",
    ]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e7 }), (operations) => {
        const shown = Number.parseFloat(atMost(3 / operations)) / 100;
        assert.ok(shown >= (3 / operations) * (1 - 1e-8) && shown < (3 / operations) * 1.11);
      }),
    );
  });

  test("milliseconds have three digits, and what is absent is no data", () => {
    assert.deepEqual([0.0000456, 0.00456, 0.0456, 0.456, 4.56].map(milliseconds), [
      "0.05",
      "4.56",
      "45.6",
      "456",
      "4,560",
    ]);
    assert.deepEqual([0.009996, 0.09996].map(milliseconds), ["10.0", "100"]);
    assert.equal(milliseconds(undefined), NO_DATA);
  });
});

describe("the bar", () => {
  test("fits, shows whatever is not 0 and leaves a gap for whatever is not 1", () => {
    assert.deepEqual([bar(0, 8), bar(0.5, 8), bar(1, 8)], ["", "━━━━", "━━━━━━━━"]);
    fc.assert(
      fc.property(
        fc.double({ min: 1e-9, max: 1 - 1e-9, noNaN: true }),
        fc.integer({ min: 2, max: 40 }),
        (share, width) => {
          const drawn = bar(share, width);
          assert.ok(drawn.length >= 1 && drawn.length <= width);
          assert.notEqual(drawn, "━".repeat(width));
        },
      ),
    );
    assert.equal(bar(1.2, 4), "━━━━");
    assert.equal(bar(-1, 4), "");
  });
});

describe("a paragraph", () => {
  const options = { paint: painter(false) };
  test("keeps every word, within its width, below its lead", () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z]{1,50}$/), { minLength: 1 }),
        fc.integer({ min: 40, max: 120 }),
        (words, width) => {
          const lines = paragraph("  - ", words.join(" "), { ...options, width }).split("\n");
          assert.ok(lines.every((line) => line.length <= width));
          assert.ok(lines.every((line, index) => line.startsWith(index === 0 ? "  - " : "    ")));
          assert.equal(
            lines
              .map((line) => line.slice(4))
              .join("")
              .replaceAll(" ", ""),
            words.join(""),
          );
        },
      ),
    );
  });
});

describe("text of others", () => {
  test("becomes one line that a terminal and XML can take", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
        assert.doesNotMatch(oneLine(text), /[\u0000-\u001f\u007f-\u009f\ufffe\uffff]/);
        assert.ok(oneLine(text).isWellFormed());
      }),
    );
    assert.equal(oneLine("a\u001b[31m b\u001b[0m\r\n\tc \ud800"), "a b c \ufffd");
  });
});
