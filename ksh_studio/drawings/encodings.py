"""The encoding of caption files: UTF-8, UTF-16, or one of the older ones, when it is certain which.

An older encoding gives letters for almost any bytes: Japanese in Shift-JIS, read as Korean, is a row of rare syllables.
So each is taken only when what comes out looks like that language; otherwise the artist is asked.
"""

import codecs
import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress

_OLDER = {
    "cp949": "CP949 (한국어)",
    "cp932": "Shift-JIS (日本語)",
    "gb18030": "GBK (简体中文)",
    "big5": "Big5 (繁體中文)",
    "cp1252": "Windows-1252 (Western)",
}
"""The encodings that are tried, by Python's name, with their names for a person."""
# The syllables that Korean sentences are made of. Other languages' bytes, read as Korean, give all 2,350 alike.
_COMMON_HANGUL = frozenset(
    "가각간갈감갑값갔강갖같갚개객갤갱걀거걱건걷걸검겁것겉게겠겨격겪견결겸겹경곁계고곡곤곧골곰곱곳공과곽관광괜괴교구국군굳굴굵굽궁"
    "권귀규균귤그극근글금급긋긍기긴길김깃깊까깍깎깐깔깜깝깡깨꺼꺾껌껍껏께껴꼈꼬꼭꼴꼼꼽꽂꽃꽉꾸꾼꿀꿈꿔꿩끄끈끊끌끓끔끗끝끼낀낌나낙낚난날"
    "낡남납낫났낭낮낯낳내낸낼냄냅냇냈냉냐냥너넉넌널넓넘넣네넥넷년념녀녁녕녘노녹논놀놈농높놓뇌누눈눌눕뉘뉴느늑는늘능늦늙니닌닐님다닥닦단"
    "닫달닭닮담답닷당닿대댁댄댐더덕던덜덟덤덥덧덩덮데델도독돈돌돕동돼되된될됨됩두둑둔둘둠둡둥뒤뒷드득든듣들듬듭듯등디딘딜딩딪따딱딴딸땀땅"
    "때땐땡떠떡떤떨떴떻떼또똑뚜뚝뚫뚱뛰뜨뜩뜬뜯뜰뜻띄띠라락란람랍랑랗래랜램랩랫랬략량러럭런럴럼럽럿렀렁렇레렉렌려력련렬렴렵령례로록론롤"
    "롭롯료루룩룬룸룹룻류륙률륨르른를름릇릉릎리릭린릴림립릿링마막만많말맑맘맙맛망맞맡매맥맨맵맺머먹먼멀멈멋멍메멘멜면멸명몇모목몬몰몸못몽"
    "묘무묵묶문묻물뭄뭇뭐뭔뮤므미민믿밀밉밌및밑바박밖반받발밝밟밤밥방밭배백뱀뱃버벅번벌범법벗벙베벤벨벼벽변별볍병볕보복볶본볼봄봇봉뵙부북분"
    "불붉붐붓붕붙뷔브븐블비빈빌빔빗빙빚빛빠빨빵빼뺏뺨뻐뻔뻗뼈뽀뽑뿌뿐뿔뿜쁘쁜쁨사삭산살삶삼삿상새색샌샘생샤서석섞선설섬섭섯성세센셀셈셋셔션"
    "소속손솔솜솟송쇄쇠쇼수숙순술숨숫숭숲쉬쉰쉽슈스슨슬슴습슷승시식신싣실싫심십싱싶싸싹쌀쌍쌓써썩썰썹쎄쏘쏟쏠쑤쑥쓰쓴쓸씀씌씨씩씬씹씻아악"
    "안앉않알앓암압앗았앙앞애액앨야약얀얇양얕얗얘어억언얹얻얼엄업없엇었엉엌엎에엔엘엠엣여역연열엷염엽엿였영옅옆예옛오옥온올옮옳옷와완왔왕왜외"
    "왼요욕용우욱운울움웃웅워원월웠웨웬웹위윗유육윤율융으은을음응의이익인일읽잃임입잇있잊잎자작잔잖잘잠잡장재쟁저적전절젊점접젓정젖제젠젤져졌"
    "조족존졸좀좁종좋좌죄주죽준줄줌줍중줘쥐즈즉즌즐즘증지직진질짐집짓징짖짙짚짜짝짧째쨌쩌쩍쩐쪼쪽쫓쭈쭉찌찍찢차착찬찮찰참찻창찾채책챔챙처척"
    "천철첨첩첫청체쳐쳤초촉촌촛총촬최추축춘출춤춥춧충취츠측층치칙친칠침칩칭카칸칼캐캔캠커컨컬컴컵컷케켓켜켰코콘콜콤콩쾌쿄쿠퀴크큰클큼키킨킬"
    "킹타탁탄탈탑탓탕태택탤탱터턱털텅테텍텐텔템토톤톨톱통퇴투툼퉁튀튜트특튼틀틈티틱틴틸팀팅파팎판팔팝패팩팬퍼펄페펜펴편펼평폐포폭폰표푸푹"
    "풀품풍퓨프플픔피픽핀필핏핑하학한할함합항해핵핸햄햇했행향허헌험헤헬혀현혈협형혜호혹혼홀홈홍화확환활황회획횟횡효후훈훌훔훨휘휴흉흐흑흔흘"
    "흙흡흥흩희흰히힌힐힘땋묘늬깥붕뚱촘듈녘켤빤쟈챙롱릴뷰뿅샐숏웜젝챠컥콧쿨킥팡펑"
    "옵캡폴깁겼며밍랐쉼릅렸씁뀌큽롬킷킵텝랭셉쯤잴탭뀐췄닙뺐쁠탐춰썼눔켬괄옴벡멋얼빗넬쌩퐁캣냥멍곱젬멜앨봐봤줬꿨됐렁갸뽕쑥팥벚잿짱"
)
MOST_JUDGED_BYTES = 4_000_000
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u30fc]")
_JAPANESE = re.compile("[\u3000-\u30ff\u4e00-\u9fff\uff01-\uff60々〆\u2010-\u266f\u00d7\u00f7\u00a7\u00b0\u00b1]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_HANJA = re.compile("[\u4e00-\u9fff\uf900-\ufaff]")
_WESTERN = re.compile("[À-ÖØ-öø-ÿŒœŠšŽžŸ‘’“”–—…•«»¿¡°ß´©®™€£½¼¾×]")
_COMMON_SHARE = 0.85
"""How much of the Hangul must be common syllables; in Korean captions it is nearly all."""
_CERTAIN_SHARE = 0.9
"""How many files of one folder must be certain by themselves when they are not all in one encoding."""


class UncertainEncoding(ValueError):
    """The bytes may be text in several encodings, or in none; `candidates` are the names of those that fit."""

    def __init__(self, candidates: list[str]) -> None:
        self.candidates = candidates
        super().__init__(", ".join(candidates))


def text_of(data: bytes) -> str:
    """Decode UTF-8, UTF-16 or UTF-32, with or without a byte order mark, or an older encoding that is certain.

    Raises UncertainEncoding when it is not.
    """
    return Encodings([("", data)]).text_of("", data)


class Encodings:
    """The encodings of caption files that belong together.

    Short captions in an older encoding are judged together: one program has written them all.
    """

    def __init__(self, files: Iterable[tuple[str, bytes]]) -> None:
        """files: keys, and contents or the first lines of them."""
        older: dict[str, bytes] = {}
        for key, data in files:
            if sum(map(len, older.values())) > MOST_JUDGED_BYTES:
                break  # these are enough to tell
            with suppress(UncertainEncoding):
                if _unicode(data) is None:
                    older[key] = data
        self._together = _certain_encoding(list(older.values()))
        self._each = {key: _certain_encoding([data]) for key, data in older.items()} if not self._together else {}
        if sum(each is not None for each in self._each.values()) < _CERTAIN_SHARE * len(self._each):
            self._each = {}

    def text_of(self, key: str, data: bytes) -> str:
        """The text of a file that was given under this key. Raises UncertainEncoding."""
        text = _unicode(data)
        encoding = self._together or self._each.get(key)
        if text is None and encoding is not None:
            text = _if_valid(data, encoding)
        if text is None:
            raise UncertainEncoding([name for each, name in _OLDER.items() if _if_valid(data, each) is not None])
        return text


def _unicode(data: bytes) -> str | None:
    """The text when it is in some form of Unicode, else None."""
    for mark, encoding in (
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return _decoded(data, encoding)
    if b"\0" in data:
        return _without_mark(data)
    text = _if_valid(data, "utf-8-sig")
    # Two Chinese letters may be valid UTF-8 by chance: 微笑 in GBK gives a Greek letter that does not exist.
    if text is None or any(unicodedata.category(letter) == "Cn" for letter in text if letter < "\u0800"):
        return None
    return text


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UncertainEncoding([encoding.upper()]) from error


def _without_mark(data: bytes) -> str:
    """Text with zero bytes: UTF-16 without a mark when one byte order gives ordinary letters, else UTF-8."""
    for encoding in ("utf-16-le", "utf-16-be"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if all(_is_ordinary(letter) for letter in text):
            return text
    return _decoded(data, "utf-8-sig")


def _is_ordinary(letter: str) -> bool:
    if letter in "\t\r\n":
        return True
    if ord(letter) < 0x100 or _HANGUL.match(letter) or _JAPANESE.match(letter):
        return unicodedata.category(letter) != "Cc"
    return unicodedata.category(letter)[0] in "LPSNM" and 0x100 <= ord(letter) < 0x2E00


def _certain_encoding(files: list[bytes]) -> str | None:
    """The one encoding in which all these files look like the language that it is for; None when there is none."""
    for encoding, looks_right in (("cp949", _is_korean), ("cp932", _is_japanese), ("cp1252", _is_western)):
        texts = [_if_valid(data, encoding) for data in files]
        if looks_right("\n".join(text for text in texts if text is not None)) and None not in texts:
            return encoding
    return None


def _if_valid(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_korean(text: str) -> bool:
    syllables = _HANGUL.findall(text)
    common = sum(syllable in _COMMON_HANGUL for syllable in syllables)
    return common >= _COMMON_SHARE * len(syllables) > 0 and len(_HANJA.findall(text)) <= len(syllables) / 8


def _is_japanese(text: str) -> bool:
    """Whether it has kana, and hardly anything but what Japanese is written with."""
    foreign = [letter for letter in text if ord(letter) > 127]
    usual = sum(bool(_JAPANESE.match(letter)) for letter in foreign)
    return len(_KANA.findall(text)) >= max(1, len(foreign) / 10) and usual >= 0.95 * len(foreign)


def _is_western(text: str) -> bool:
    """Whether accented letters and signs stand alone among plain ones, as in `café` and `naïve`."""
    foreign = [letter for letter in text if ord(letter) > 127]
    alone = re.findall(r"(?<![^\0-\x7f])[^\0-\x7f](?![^\0-\x7f])", text)
    return all(map(_WESTERN.match, foreign)) and len(alone) >= 0.8 * len(foreign) and len(foreign) < len(text) / 3
