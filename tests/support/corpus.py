"""Texts for the tests: `texts()` makes 1,100 ordinary and odd ones, `NAUGHTY` lists strings made to hurt.

Everything follows from this file: no data file, no library's random generator, so every machine sees the same strings.
"""

import hashlib
import unicodedata


class Dice:
    """A 64-bit linear congruential generator: small, and the same on every Python."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, n: int) -> int:
        """Return an integer from 0 to n - 1."""
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n

    def pick(self, items):
        """Return one of the items."""
        return items[self.below(len(items))]


ENGLISH = """The baker opened the oven before sunrise, and the whole street smelled of rye.
A bug that appears only on Tuesdays is usually a bug about dates.
She tuned the violin by ear, then checked it against the piano.
Rain is expected in the north, with dry spells along the coast.
Why does the second derivative tell us about curvature?
He sold 1,024 tickets at $7.50 each and kept 3.5% for himself.
The cache was cold, so the first request took nearly two seconds.
Nobody had told the cat that the chair was taken.
An index speeds up reading and slows down writing; choose with care.
Please return the library books by the 31st of October.
Boil the pasta until it still has a little bite, then drain it.
The court ruled that the contract had never been signed.
Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.
I can't believe it's already o'clock-something; we're late!
Our train was delayed by 45 minutes because of leaves on the line.
The patient reports a mild fever and no other symptoms.""".split("\n")

OTHERS = """Der Fluß trat über die Ufer, und die Straßen standen unter Wasser.
Die Größe der Äpfel überraschte alle, sogar den Gärtner.
Le garçon a mangé une crêpe près de l'évêché, où il pleuvait déjà.
Ça ne marche pas ; réessayez à Noël, s'il vous plaît.
El niño soñó con un pingüino que bebía agua en la montaña.
¿Cuándo llegará el camión con las últimas cajas?
A avó pôs o pão na mesa e chamou os irmãos para o almoço.
Perché l'università è chiusa così spesso in città?
Żółty jaś śpiewa pieśń o gęsiach nad Łódzką rzeką.
Příliš mnoho knih leží na stole vedle modrého okna.
Çocuk ışığı söndürdü ve İstanbul'a giden gemiyi bekledi.
Smørrebrød og blåbær står på køkkenbordet i Århus.
Þórður ætlar að kaupa nýja skó í Reykjavík á föstudag.
Con mèo ngủ trên mái nhà suốt cả buổi chiều nắng ấm.
Η γάτα κοιμάται στο παράθυρο όταν βρέχει.
Πόσο κοστίζει το εισιτήριο για τη Θεσσαλονίκη;
Старый мост закрыли на ремонт до самой весны.
Сколько стоит хлеб в этой булочной, и свежий ли он?
Ми їхали потягом до Києва й співали пісень.
Учените измериха температурата на морето три пъти.
القطة تنام على السطح كل يوم بعد الظهر.
متى يصل القطار القادم إلى المدينة القديمة؟
החתול ישן על הגג כל אחר הצהריים.
כמה עולה כרטיס לרכבת אל העיר העתיקה?
बिल्ली हर दोपहर छत पर सोती है।
अगली रेलगाड़ी पुराने शहर में कब पहुँचेगी?
বিড়ালটি প্রতিদিন বিকেলে ছাদে ঘুমায়।
பூனை தினமும் கூரையில் தூங்குகிறது.
แมวนอนบนหลังคาทุกบ่าย และฝนก็ตกเบา ๆ
รถไฟขบวนต่อไปจะถึงเมืองเก่าเมื่อไร
那只猫每天下午都在屋顶上睡觉。
下一班火车什么时候到老城?票价是二十五元。
猫は毎日午後になると屋根の上で眠ります。
つぎのでんしゃはいつフルイマチにつきますか?
고양이는 매일 오후 지붕 위에서 잠을 잔다.
다음 기차는 언제 오래된 도시에 도착합니까?
კატა ყოველ შუადღეს სახურავზე სძინავს.
Կատուն ամեն կեսօր քնում է տանիքին։
ድመቷ ከሰዓት በኋላ በጣሪያው ላይ ትተኛለች።
ឆ្មាដេកលើដំបូលរៀងរាល់រសៀល។
The word 東京 means “eastern capital”, and Москва has a кремль.
Price: 12,50 € — or £10.99, ¥1,600, ₹950 and ₿0.0003.""".split("\n")

ODD = """∀ε>0 ∃δ>0: |x−a|<δ ⇒ |f(x)−f(a)|<ε
∫₀^∞ e^{−x²} dx = √π⁄2 ≈ 0.886
E = mc², ∇·B = 0, ℵ₀ < 2^ℵ₀, 𝔸 ⊗ 𝔹 ≅ 𝔹 ⊗ 𝔸
👩‍👩‍👧‍👦 went to the 🏖️ and saw 🐬🐬🐬!
I ❤️ 🍕, 🇫🇷 and 🏳️‍🌈; thumbs 👍🏽 up ☺︎
😀😃😄😁😆😅🤣😂🙂🙃
https://example.org/a/b?q=%C3%A9t%C3%A9&lang=fr#part-2
mailto:first.last+tag@sub.example.co.uk
C:\\Users\\me\\Desktop\\notes (final) (2).txt
for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }
def f(x): return {k: v for k, v in x.items() if v is not None}
SELECT name, COUNT(*) FROM orders WHERE total >= 99.95 GROUP BY name;
<p class="note">2 &lt; 3 &amp; 5 &gt; 4</p><!-- done -->
{"id": 17, "tags": ["a", "b"], "ok": true, "ratio": 1.5e-7}
$ grep -rn 'TODO' src/ | wc -l  # 0
[SEP] in the middle [SEP] of a text
a [MASK] for the ball
[CLS] starts, [PAD] pads, [UNK] shrugs, [unused7] waits
[mask] [Sep] [ MASK ] [[MASK]] [MASK][MASK]x[MASK]
##ing ##s un##believ##able #hashtag ## #
0123456789 00007 3.14159265358979 1e308 -0 +1 0xDEADBEEF ⅔ Ⅷ ① ٣٤٥ ४५६
2024-02-29T23:59:60Z, 12/31/99, 1:2:3, 192.168.0.1, ::1
...,,,;;;:::!!!???---___***((( )))[[[ ]]]{{{ }}}<<< >>>
“quotes” ‘single’ «guillemets» „low“ … — – ‐ ‑ ‒ ― ′ ″
ALL CAPS SHOUTING AND camelCase AND snake_case AND kebab-case AND SCREAMING_SNAKE
tab\there\nnewline\r\nreturn\vvertical\fform\u00a0nbsp\u2003em\u3000ideographic\u2028line\u2029para
zero\u200bwidth\u200cjoin\u200ders\u2060and\ufeffmarks
bell\x07 back\x08space escape\x1b[31mred\x1b[0m nul\x00 del\x7f c1\x85\x9f
\u202eright to left override\u202c and \u2066isolates\u2069
ﬁne ﬂour oﬃce Ångström K µ Ω ſhort ß ẞ İ ı ŉ ǆ
H₂O CO₂ x² y³ ½ ™ © ® № ℃
ＦＵＬＬ　ｗｉｄｔｈ ｶﾀｶﾅ ㌔ ㊙
z\u0336a\u0334l\u0335g\u0336o\u0337 \u0301alone
\U0001f9ff\U0001fae0\U00020000\U000e0041\U0010ffff\uffff\ufffd\ue000""".split("\n")

WHITE = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", " \n\t ", "\u2028"]
SENTENCES = ENGLISH + OTHERS


def words_of(sentences: list[str]) -> list[str]:
    """Return the words of some sentences."""
    return [w for s in sentences for w in s.split()]


def joined(dice: Dice, words: list[str], count: int) -> str:
    """Return a number of words with one kind of whitespace between."""
    return dice.pick(WHITE[:2] * 4 + WHITE).join(dice.pick(words) for _ in range(count))


def mangled(dice: Dice, text: str) -> str:
    """Return the text after a change of form, case, order or cleanliness."""
    at = dice.below(len(text) + 1)
    how = dice.below(8)
    if how < 2:
        return unicodedata.normalize(("NFC", "NFD")[how], text)
    if how < 4:
        return (text.upper(), text.swapcase())[how - 2]
    if how == 4:
        return text[at:] + text[:at]
    if how == 5:
        return text[:at] + dice.pick("[SEP] [MASK] \x00 \u200d \u0301 \u202e ## ' 中 🙂".split(" ")) + text[at:]
    if how == 6:
        return text.replace(" ", dice.pick(["", "-", "_", "\n\n", "\u3000"]))
    return dice.pick(WHITE) + text + dice.pick(WHITE)


def texts() -> list[str]:
    """Return 1,100 different texts from empty to more than a thousand tokens; the same at every call."""
    dice = Dice(20240229)
    english, every = words_of(ENGLISH), words_of(SENTENCES)
    found = [
        "",
        " ",
        "\n\t",
        *"\u00a0|\x00|\u200b|a|A|é|e\u0301|中|🙂|[SEP]|[MASK]|\ufffd".split("|"),
        *SENTENCES,
        *ODD,
    ]
    # 254 one-token words fill 256 tokens exactly: the cut is met from both sides, in words, CJK, digits and signs
    found += [part * n for part in ("the ", "中", "7 ", "!") for n in (253, 254, 255, 256, 300)]
    found += ["a" * n for n in (99, 100, 101, 5000)]
    found += ["un" * 50 + " believable", "中文" * 600, "🙂 " * 400, "한국어" * 300]
    found += [joined(dice, english, n) for n in range(1, 121)] + [joined(dice, every, n) for n in range(1, 121)]
    found += [joined(dice, words, 8 + dice.below(60)) for words in map(str.split, OTHERS) for _ in range(2)]
    found += [joined(dice, every, 150 + dice.below(500)) for _ in range(60)]
    found += [" ".join(dice.pick(SENTENCES) for _ in range(2 + dice.below(5))) for _ in range(180)]
    found += [dice.pick(ODD) + dice.pick(WHITE) + dice.pick(SENTENCES) for _ in range(120)]
    found += [joined(dice, english, 1 + dice.below(14)) for _ in range(120)]
    distinct = dict.fromkeys(found)
    while len(distinct) < 1100:
        distinct[mangled(dice, dice.pick(SENTENCES + ODD))] = None
    return list(distinct)


def digest(strings: list[str]) -> str:
    """Return the sha256 of the strings, by which a golden file notices a changed corpus."""
    return hashlib.sha256("\x1e".join(strings).encode()).hexdigest()


RARE = """Ǆ ǅ ǆ ﷺ ﷽ ŉ ẞ ß İ I\u0307 ı ſ K Å Å A\u030a Ω ς Σ ΑΣ ʼn ﬃ ﬀ Ꙭ ꙮ ᾳ ᾼ Ԛ Ⴀ ა Ა ꭰ Ꭰ ᏸ 𐐀 𐐨 Ⓐ ⓐ Ａ ａ ǰ ΐ և
ก็ กำ ក្ត ཀྵ མཾ नि क्ष कृ ക്ഷ ൿ ᄀ 가 각 각 ㄱ ㅏ ゙ か゛ が か\u3099 ヷ ｶﾞ 々 〆 〇 〱 ㇰ 㐀 䶿 一 鿿
ꀀ 豈 﨎 𠀀 𪛖 𪜀 𫝀 𫠠 丽 𰀀 ⺀ ⼀ 〄 ㈱ ㍻ ½ ² ₂ ① ⑳ Ⅷ ↀ ४ ٣ ۴ ௰ 𝟘 𝟿 零 ༳ ৴ 1\u20e3 #\ufe0f\u20e3 0\u0660 𒐀 𐄇 🄀 🅰
¹²³ 10⁻⁹ x̄ ŷ ẋ ℏ ℓ ℙ ⟨ψ| ⊥ ∅ ‰ ‱ ⁂ ‽ ⸮ ¿¡ 、 。 「」 ・ ー ～ ﹏ ＿ ＃ ［ＳＥＰ］
👨\u200d👩\u200d👧 👩🏿\u200d🚀 🏴\U000e0067\U000e0062\U000e007f 🇩🇪 🇩 🇩🇪🇫 ❤ ❤️ ☺︎ ⌚︎ 🫠 🐈\u200d⬛ \u200d👩 👩\u200d 🀄 🂡
𝕳𝖊𝖑𝖑𝖔 𝒞𝓊𝓇𝓁 ᴛɪɴʏ ⓑⓤⓑⓑⓛⓔ ʇxǝʇ T̷h̷i̷s̷ a\u0300\u0301\u0302 \u0300a q\u0323\u0307 q\u0307\u0323 ệ e\u0302\u0323
ắ ǭ ṩ ŵ\u0301 ё е\u0308 й и\u0306 ї שׁ שּׁ אָ لا ﻻ ﷲ ـــ آ ٱ ي\u0654 پ گ ۀ هٔ
ܐ ހަ ߊ ጀ ᐁ ᚠ ᛒ ⴰ 𐌰 𐎠 𓀀 ⲁ Ꞵ ꟸ null None NaN nan Infinity -inf undefined true FALSE 0 -0 1/0 0x 1e999
0.1+0.2 1_000 1,000 1.000,00 ١٢٣ --help -rf ; | & && $(x) `x` ${x} %s %n {0} {{x}} \\0 \\n \\u0041 \\x41
don't can't o'clock l'été it’s rock'n'roll '' "" ``x'' a.b.c a...b a-b a--b a_b a/b a\\b a@b a+b a=b a&b a*b a^b
a~b a|b a<b a>b a:b a;b a?b a!b a%b a$b a#b a(b a[b a{b"""


def naughty() -> list[str]:
    """Return strings that have hurt tokenizers: rare characters alone and in company, joined and repeated."""
    marks = "\x00 \x01 \x07 \x08 \t \n \x0b \x0c \r \x1b \x1c \x1d \x1e \x1f \x7f \x80 \x85 \x9f \xa0 \xad"
    marks += " \u034f \u061c \u070f \u115f \u1160 \u1680 \u17b4 \u180e \u2000 \u2002 \u2007 \u2009 \u200b \u200c \u200d"
    marks += " \u200e \u200f \u2028 \u2029 \u202a \u202d \u202e \u202f \u205f \u2060 \u2061 \u2064 \u2066 \u2069 \u206f"
    marks += " \u2800 \u3000 \u3164 \ufe0e \ufe0f \ufeff \uffa0 \ufff9 \ufffc \ufffd \ufffe \uffff \ue000 \uf8ff \ufdd0"
    marks += " \U0001f3fb \U0001f1e6 \U000e0001 \U000e0020 \U000e007f \U000e0100 \U000f0000 \U0010fffd \U0010ffff"
    specials = "[CLS] [SEP] [PAD] [UNK] [MASK] [unused0] <s> </s> <mask> <|endoftext|>".split()
    single = [*filter(None, marks.split(" ")), "\t", "\n", "\r", " ", *"' \" ` ´ ^ ~ | \\ # ##".split()]
    found = single + [f"a{m}b" for m in single] + [f"[{m}SEP]" for m in single[::3]]
    found += specials + [s.lower() for s in specials] + [s * 3 for s in specials] + [f"x{s}y" for s in specials]
    found += [f" {s} . {s},{s}" for s in specials] + [s[:-1] for s in specials] + [s[0] + s for s in specials]
    found += [c * n for c in "a1!é中が한य🙂\u0301\u200d\xad" for n in (2, 99, 100, 101, 300)]
    found += RARE.split()
    found += """<script>alert('x')</script>|'; DROP TABLE texts; --|../../etc/hosts|\\\\server\\share|C:\\con\\aux
| leading|trailing | both |a  b|a\tb\nc\rd|\r\n\r\n\r\n|\ufeffbom|mid\ufeffdle|\u202eabc\u202cdef|中a文b字|中 文
|日本語テキスト混在text|한국어and English|ひらがなカタカナ漢字|تجربةtestניסיון|1中2国3""".split("|")
    found += ["o" + "\u0301" * 100, "Z" + "\u0323\u0336\u030d" * 40, "x" * 100 + " y", "x" * 101 + " y", "-" * 500]
    found += [
        "word " * 260,
        "supercalifragilistic" * 30,
        "\U00020000" * 300,
        "é" * 101,
        "e\u0301" * 101,
        "ß" * 60,
        "a-" * 200,
    ]
    return list(dict.fromkeys(found))


NAUGHTY = naughty()


PLANES = [(0x20, 0x7F), (0x80, 0x250), (0x250, 0x2000), (0x2000, 0x3300), (0x3300, 0xD800), (0xE000, 0x10000)]
PLANES += [(0x10000, 0x11000), (0x1D000, 0x20000), (0x20000, 0x32000), (0xE0000, 0xE0200)]


def spliced(seed: int, pieces: list[str]):
    """Yield strings without end, each the beginning of a piece, up to five characters from anywhere, and an end."""
    dice = Dice(seed)

    def anything():
        low, high = dice.pick(PLANES)
        return chr(low + dice.below(high - low))

    while True:
        a, b = dice.pick(pieces), dice.pick(pieces)
        middle = "".join(anything() for _ in range(dice.below(6)))
        yield a[: dice.below(len(a) + 1)] + middle + b[dice.below(len(b) + 1) :]
