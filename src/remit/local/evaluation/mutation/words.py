"""General English word lists that renaming draws on: synonyms, given and family names, and what is never a name."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def groups(table: str) -> list[tuple[str, ...]]:
    """The groups of synonyms of a table."""
    return [tuple(group.split()) for line in table.split("\n") for group in line.split("|") if group]


VERBS = """
send dispatch transmit|get fetch retrieve obtain|read view inspect|search find query|list enumerate|delete remove erase discard
create make produce|add append insert|update change modify edit|cancel abort|reschedule postpone|schedule plan arrange
share distribute|copy duplicate clone|move relocate shift|pay settle|transfer wire|buy purchase acquire|book reserve
download pull|upload push|browse visit|input enter|login signin|verify confirm validate|refund reimburse|clear empty
execute run perform|grant give assign|revoke rescind|unlock open|disable deactivate|enable activate
reply respond answer|forward redirect|calculate compute|manage administer handle|write save|leave quit|block ban|start begin
stop halt|show display|export extract|register enrol|approve accept|reject decline
"""
NOUNS = """
email mail|file document|event appointment|folder directory|info information details|money funds cash|product item article
user member|participant attendee|password passcode|policy rule|image picture photo|webpage site|reservation booking
device appliance|record entry|repository project|customer client|invoice bill|cart basket|discount rebate|account profile
calendar agenda diary|payment remittance|flight trip|friend companion|ticket pass|contact acquaintance
"""
FILLERS = ("action", "call", "operation", "routine", "service", "step", "tool", "utility")
"""What a name gets where none of its words has a synonym."""

FEMININE = """
abigail adriana agnes alexandra alice alicia amanda amelia amy andrea angela anita ann anna anne annie ashley audrey barbara beatrice
bella brenda camila carla carmen carol caroline catherine charlotte chloe christina christine claire clara claudia cynthia daniela
deborah denise diana diane donna dorothy edith elaine eleanor elena elizabeth ella ellen emily emma erica esther eva evelyn fatima
fiona florence frances gabriela gloria hannah harper heather helen isabel isabella jane janet jasmine jennifer jessica joan joanna
judith julia julie karen kate katherine katie kayla kelly laura lauren leah leila lily linda lisa louise lucia lucy lydia madison
margaret maria marie marta martha mary megan melissa mia michelle monica nadia nancy naomi natalie nicole nina nora olga olivia pamela
patricia paula priya rachel raquel rebecca rosa ruth samantha sandra sara sarah sharon shirley sofia sonia sophia sophie stella
stephanie susan sylvia tanya teresa theresa tina valentina valerie vanessa vera veronica victoria virginia wendy yara yolanda yvonne zoe
"""
MASCULINE = """
aaron adam adrian ahmed alan albert alejandro alex alexander alfred ali andre andrew anthony antonio arthur benjamin bernard bob brandon
brian bruno bryan carl carlos charles chris christian christopher colin connor daniel david dennis diego dominic donald douglas dylan
edgar eduardo edward edwin eric ethan eugene felix fernando francis frank gabriel gary george gerald gilbert gordon greg gregory gustav
hans harold harry hassan hector henry howard hugo ian igor isaac ivan jack jacob jake james jason javier jeff jeffrey jeremy jerome joe
joel john jonathan jose joseph joshua juan julian justin keith kenneth kevin kyle larry lars laurence leo leon leonard liam louis lucas
luis luke marcus mario mark martin matteo matthew michael miguel mike mohamed mohammed nathan neil nicholas noah oliver omar oscar pablo
pascal patrick paul pedro peter philip rafael raj ralph ramon raymond ricardo richard robert roger roland ronald russell ryan samuel
sanjay scott sean sebastian sergio simon stanley stefan stephen steve steven stuart thomas tim timothy tom tony tyler victor vincent
walter wayne william xavier yusuf zachary
"""
FAMILY = """
adams allen alvarez anderson bailey baker barnes bell bennett black brooks brown bryant butler campbell carter castillo chavez
chen clark coleman collins cook cooper costa cox cruz davies davis diaz doe edwards evans fernandez fischer flores foster garcia gomez
gonzalez gray green griffin gupta gutierrez hall hamilton harris hayes hernandez hill hoffmann howell hughes ito ivanov jackson jenkins
jensen jimenez johnson jones kim king kovacs kowalski kumar lee lewis long lopez marshall martinez mason mendoza meyer miller mitchell
moore morales morgan morris muller murphy myers nakamura nelson nguyen novak ortiz owens park parker patel patterson perez perry
peterson phillips powell price ramirez ramos reed reyes reynolds richardson rivera roberts robinson rodriguez rogers romero rossi ruiz
russo sanchez sanders santos sato schmidt schneider shah silva simmons singh smith stone suzuki tanaka taylor thompson torres tran
turner wagner walker wang ward watson weber white williams wilson wood wright yamamoto yang young
"""
ALSO_WORDS = _set("""
ali baker bell black brooks brown butler carol carter christian clark cook cooper cruz doe foster frank gray green griffin hall harper
heather hill jack jasmine king lily long mark marshall mason miller park parker price reed rosa stella stone turner tyler victor walker
ward white wood wright young
""")
"""Names that are words as well: they count as names only beside another name, after a greeting or the like, or in an address."""
BEFORE_NAMES = _set("and by cc dear dr for from hello hey hi mr mrs ms of prof regards signed thanks to with")

ROLES = _set("""
admin alert alerts api app billing calendar contact docs drive email ftp help hello hr info invoice jobs legal mail marketing
me news newsletter no noreply notification notifications office payments press privacy promo promotions reply sales security
service services shop smtp staff static status store support team updates web webmaster www
""")
"""Parts of addresses that say what they are for: they stay."""

PUBLIC_SUFFIXES = (
    "com org net edu gov mil int info biz io ai app dev co uk de fr nl es pl ch eu jp cn br au ca ru se dk "
    "example test invalid local"
)
"""Endings of domains; those that end sentences or files as well are left out."""
SECOND_LEVEL = _set("ac co com edu gov net org")

NOT_NAMES = _set("""
january february march april may june july august september october november december jan feb mar apr jun jul aug sep sept oct nov dec
monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun today tomorrow yesterday
english french german spanish italian chinese japanese internet iban bic usd eur gbp id ids url http https json xml html csv pdf api
true false null none yes no ok mr mrs ms dr prof st street avenue road lane drive please thanks thank dear hello note important
christmas easter summer winter spring autumn morning afternoon evening night
""")
"""Written with a capital without being anybody's or anything's name."""
