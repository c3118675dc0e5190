/** What scripts/knowledge.ts cannot read from the source tables: sentences, version, sources and licences. */

/** RxNorm ingredient (a form, an older or a newer concept) -> the ingredient by which the rules know it. */
export const FORMS: Readonly<Record<string, string>> = {
  '42351': '6448', // lithium carbonate
  '28817': '6448', // lithium succinate
  '6057': '28004', // isosorbide: mononitrate products
  '1546438': '4955', // glycopyrronium
  '1608322': '1720882', // isavuconazonium
  '1191504': '1815', // bupivacaine liposome
  '1673265': '89013', // aripiprazole lauroxil
  '1719768': '51499', // irinotecan liposomal
  '477468': '7052', // morphine liposomal
  '236594': '732', // amphotericin B liposomal
  '2001759': '732', // amphotericin B lipid complex
  '11476': '57230', // tiludronic acid
  '1549540': '10109', // dihydrostreptomycin
  '5992': 'name:iron-dextran',
  '24909': 'name:iron-sucrose-complex',
  '804179': 'name:measles-virus-vaccine',
  '1292422': 'name:varicella-zoster-virus-vaccine',
  '804187': 'name:yellow-fever-virus-vaccine',
  '253182': 'name:insulin-regular-human',
  '314684': '86009', // insulin lispro protamine
  '352385': '51428', // insulin aspart protamine
  '89890': 'name:yellow-fever-virus-vaccine',
};

const MEASLES_MUMPS_RUBELLA = [
  'measles virus vaccine',
  'mumps virus vaccine live, jeryl lynn strain',
  'rubella virus vaccine live (wistar ra 27-3 strain)',
] as const;

/** Ingredient -> brands that came after the snapshot. */
const NEWER_BRANDS: Readonly<Record<string, readonly string[]>> = {
  adalimumab: [
    'amjevita',
    'cyltezo',
    'hadlima',
    'hyrimoz',
    'yusimry',
    'idacio',
    'hulio',
    'abrilada',
    'yuflyma',
    'simlandi',
  ],
  etanercept: ['erelzi', 'eticovo'],
  infliximab: ['inflectra', 'renflexis', 'avsola'],
  rituximab: ['truxima', 'ruxience', 'riabni'],
  trastuzumab: ['herzuma', 'kanjinti', 'ogivri', 'ontruzant', 'trazimera'],
  bevacizumab: ['mvasi', 'zirabev'],
  filgrastim: ['zarxio', 'nivestym', 'releuko'],
  pegfilgrastim: ['fulphila', 'udenyca', 'ziextenzo', 'nyvepria'],
  'insulin glargine': ['semglee', 'rezvoglar', 'basaglar'],
  finerenone: ['kerendia'],
  vericiguat: ['verquvo'],
  semaglutide: ['wegovy', 'rybelsus'],
  tirzepatide: ['mounjaro', 'zepbound'],
  remdesivir: ['veklury'],
  cabotegravir: ['vocabria', 'apretude'],
};

/** International, British and combination names that RxNorm 2021 does not carry as ingredient or brand. */
export const ALIASES: Readonly<Record<string, readonly string[]>> = {
  'acetylsalicylic acid': ['aspirin'],
  asa: ['aspirin'],
  adrenaline: ['epinephrine'],
  amoxycillin: ['amoxicillin'],
  apap: ['acetaminophen'],
  benzylpenicillin: ['penicillin g'],
  cefalexin: ['cephalexin'],
  ciclosporin: ['cyclosporine'],
  clavulanate: ['clavulanic acid'],
  'co amoxiclav': ['amoxicillin', 'clavulanic acid'],
  'co trimoxazole': ['sulfamethoxazole', 'trimethoprim'],
  ergometrine: ['ergonovine'],
  frusemide: ['furosemide'],
  hctz: ['hydrochlorothiazide'],
  'tylenol 3': ['acetaminophen', 'codeine'],
  'vitamin d3': ['cholecalciferol'],
  glibenclamide: ['glyburide'],
  'glyceryl trinitrate': ['nitroglycerin'],
  lignocaine: ['lidocaine'],
  'isosorbide mononitrate': ['isosorbide mononitrate'],
  'methylthioninium chloride': ['methylene blue'],
  paracetamol: ['acetaminophen'],
  paxlovid: ['nirmatrelvir', 'ritonavir'],
  penicillin: ['penicillin g'],
  pethidine: ['meperidine'],
  phenoxymethylpenicillin: ['penicillin v'],
  rifampicin: ['rifampin'],
  salbutamol: ['albuterol'],
  suxamethonium: ['succinylcholine'],
  'tylenol with codeine': ['acetaminophen', 'codeine'],
  // As orders are written.
  ancef: ['cefazolin'],
  azithro: ['azithromycin'],
  'pip tazo': ['piperacillin', 'tazobactam'],
  'smx tmp': ['sulfamethoxazole', 'trimethoprim'],
  'tmp smx': ['sulfamethoxazole', 'trimethoprim'],
  vanc: ['vancomycin'],
  vanco: ['vancomycin'],
  kcl: ['potassium chloride'],
  tpa: ['alteplase'],
  'insulin regular': ['insulin regular, human'],
  'regular insulin': ['insulin regular, human'],
  'insulin nph': ['insulin, isophane'],
  'nph insulin': ['insulin, isophane'],
  senna: ['sennosides, usp'],
  'mag ox': ['magnesium oxide'],
  dextrose: ['glucose'],
  d5w: ['glucose'],
  d50: ['glucose'],
  'normal saline': ['sodium chloride'],
  '0 9 nacl': ['sodium chloride'],
  'lactated ringers': ["lactated ringer's"],
  'lactated ringer': ["lactated ringer's"],
  'ringers lactate': ["lactated ringer's"],
  'hartmanns solution': ["lactated ringer's"],
  yaz: ['drospirenone', 'ethinyl estradiol'],
  // Vaccines, by the words of schedules.
  mmr: MEASLES_MUMPS_RUBELLA,
  'm m r': MEASLES_MUMPS_RUBELLA,
  'varicella vaccine': ['varicella zoster virus vaccine'],
  'varicella virus vaccine': ['varicella zoster virus vaccine'],
  'chickenpox vaccine': ['varicella zoster virus vaccine'],
  'zoster vaccine live': ['varicella zoster virus vaccine'],
  'bcg vaccine': ['bcg, live, tice strain'],
  'bcg live': ['bcg, live, tice strain'],
  'rotavirus vaccine': ['rotavirus vaccine, live attenuated, g1p[8] human 89-12 strain'],
  'oral typhoid vaccine': ['typhoid vaccine live ty21a'],
  flumist: ['influenza virus vaccine, live attenuated'],
  laiv: ['influenza virus vaccine, live attenuated'],
  'influenza vaccine live': ['influenza virus vaccine, live attenuated'],
  'influenza vaccine': ['influenza virus vaccine, inactivated'],
  'flu vaccine': ['influenza virus vaccine, inactivated'],
  // Biosimilars and newer brands.
  ...Object.fromEntries(
    Object.entries(NEWER_BRANDS).flatMap(([drug, brands]) => brands.map((brand) => [brand, [drug]] as const)),
  ),
};

/** ONC high-priority rule -> what can happen and why. Mechanisms as in Phansalkar 2012, Table 2. */
export const HIGH_PRIORITY: Readonly<Record<string, string>> = {
  '3': 'Blocked monoamine oxidase and released noradrenaline together can cause a hypertensive crisis.',
  '4': 'Atazanavir needs gastric acid to be absorbed; acid suppression can make HIV treatment fail.',
  '6': 'Febuxostat blocks xanthine oxidase, which breaks down thiopurines: severe bone marrow suppression can follow.',
  '8': 'Serotonin is neither taken up nor broken down: a serotonin syndrome can follow.',
  '11': 'Irinotecan is broken down by CYP3A4; its inhibition can cause severe diarrhoea and bone marrow suppression.',
  '16': 'A serotonergic opioid with a monoamine oxidase inhibitor can cause a serotonin syndrome.',
  '20': 'A tricyclic antidepressant with a monoamine oxidase inhibitor can cause serotonin syndrome or a hypertensive crisis.',
  '22': 'Ramelteon is broken down by CYP1A2; its inhibition raises exposure many times and sedates.',
  '23': 'Induced CYP3A4 lowers the protease inhibitor so far that HIV treatment can fail and resistance can develop.',
  '25': 'Inhibited CYP3A4 raises the statin: myopathy and rhabdomyolysis can follow.',
  '27': 'Inhibited CYP3A4 raises the ergot alkaloid: ergotism with ischaemia of limbs or brain can follow.',
  '28': 'Tizanidine is broken down by CYP1A2; its inhibition can cause severe hypotension and sedation.',
  '30': 'Two inhibitors of monoamine oxidase together can cause a hypertensive crisis.',
  '31': 'Monoamine oxidase breaks down these triptans; its inhibition raises exposure: vasoconstriction and serotonin syndrome can follow.',
};

export const ALLERGY_CITATION =
  'Khan 2022, J Allergy Clin Immunol 150:1333; Chaudhry 2019, Pharmacy 7:103; Picard 2019, J Allergy Clin Immunol Pract 7:2722; Strom 2003, N Engl J Med 349:1628';

/** Source rows that are no drug: in an order's text they are the form of another one. */
export const DOSE_FORMS: ReadonlySet<string> = new Set(['lotion', 'syrup']);

/** Classes that the rules need and drug_classes.csv lacks. */
export const CLASSES: Readonly<Record<string, readonly string[]>> = {
  macrolide: ['azithromycin', 'clarithromycin', 'erythromycin'],
  calcineurin_inhibitor: ['cyclosporine', 'tacrolimus'],
  setron: ['ondansetron', 'granisetron', 'palonosetron', 'dolasetron'],
  opioid_antagonist: ['naloxone', 'naltrexone', 'methylnaltrexone', 'naloxegol', 'nalmefene'],
  mineralocorticoid_antagonist: ['spironolactone', 'eplerenone', 'finerenone'],
  retinoid: ['isotretinoin', 'acitretin'],
  thiazolidinedione: ['pioglitazone', 'rosiglitazone'],
  bisphosphonate_any: ['alendronate', 'risedronate', 'ibandronate', 'zoledronic acid', 'pamidronate'],
  antiarrhythmic_Ic: ['flecainide', 'propafenone'],
  TNF_blocker: ['adalimumab', 'certolizumab pegol', 'etanercept', 'golimumab', 'infliximab'],
  // The source holds analogues only.
  insulin: ['insulin regular, human', 'insulin, isophane'],
  iodinated_contrast: ['diatrizoate', 'iothalamate', 'ioxaglate', 'ioxilan'],
  live_vaccine: [
    'mumps virus vaccine live, jeryl lynn strain',
    'rubella virus vaccine live (wistar ra 27-3 strain)',
    'rotavirus vaccine, live attenuated, g1p[8] human 89-12 strain',
    'typhoid vaccine live ty21a',
    'bcg, live, tice strain',
    'influenza virus vaccine, live attenuated',
  ],
};

/** Listed in a source's cross-reactivity group, but not of it: an opioid antagonist is what an opioid reaction is treated with. */
export const NOT_IN_GROUP: Readonly<Record<string, readonly string[]>> = {
  opioid_phenanthrene: ['naloxone', 'naltrexone'],
};

/** Tables of knowledge/ that are edited as they are. */
export const HAND_WRITTEN = [
  'alternatives.json',
  'allergens.json',
  'conflicts.json',
  'contexts.json',
  'doses.json',
  'hazards.json',
  'monitoring.json',
  'patient-rules.json',
  'patient-terms.json',
  'qt-score.json',
  'ranker.onnx',
  'renal.json',
  'routes.json',
  'rules-schema.json',
  'schema.json',
  'triples.json',
  'wash-out.json',
] as const;

export const VERSION = {
  version: '2026.11.7',
  date: '2026-11-22',
  sources: [
    'Phansalkar 2012 (ONC high priority)',
    'Phansalkar 2013 (ONC low priority)',
    'US prescribing information (second reading by a pharmacist pending)',
    'FDA table of substrates, inhibitors and inducers',
    'VA NDF-RT (2014)',
    'RxNorm 2021 (NLM)',
  ],
} as const;

interface Origin {
  readonly source: string;
  readonly licence: string;
  readonly revised: string;
}
const RXNORM: Origin = {
  source: 'RxNorm (NLM), snapshot early 2021',
  licence: 'RxNorm-asserted content, free with attribution',
  revised: '2021',
};
const LABEL: Origin = { source: 'US prescribing information, see SOURCE.md', licence: 'facts', revised: '2026-11-22' };
const OWN: Origin = { source: 'written here, see SOURCE.md', licence: 'Apache-2.0', revised: '2026-11-22' };

export const SOURCES: Readonly<Record<string, Origin>> = {
  'ingredients.tsv.gz': RXNORM,
  'products.tsv.gz': RXNORM,
  'brands.tsv.gz': RXNORM,
  'interactions.json': {
    source: 'Phansalkar 2012 and 2013 (members: public-PDDI-analysis); US prescribing information',
    licence: 'facts',
    revised: '2026-11-21',
  },
  'allergies.json': {
    source: 'Chaudhry 2019 (CC BY) and the papers named in the file',
    licence: 'facts; CC BY for side-chain groups',
    revised: '2026-11-21',
  },
  'duplicates.json': { source: 'common practice and labels', licence: 'facts', revised: '2026-11-21' },
  'atc.tsv.gz': {
    source: 'ATC codes of RxNorm ingredients; ATC: WHO Collaborating Centre for Drug Statistics Methodology, Oslo',
    licence: 'codes as identifiers, source named; WHO CC does not allow copies for commercial purposes',
    revised: '2021',
  },
  'classes.json': { source: 'US prescribing information, drug_classes.csv', licence: 'facts', revised: '2026-11-21' },
  ...Object.fromEntries(HAND_WRITTEN.map((file) => [file, OWN])),
  'doses.json': LABEL,
  'renal.json': LABEL,
  'patient-rules.json': LABEL,
  'wash-out.json': LABEL,
};
