// What a person does in Prefect's UI, from the deployment's page to the report: a Custom run with values of its own, the
// run's page, Resume with notes, the end. Wants (ui.mjs) besides: parameters (label: value), notes.
// tests/integration/test_browser.py runs it and looks into the database.
import { choose, openForm, page, picture, play, press, resumeButton, seen, waitForState, wanted } from './ui.mjs';

async function startCustomRun() {
	await page.goto(wanted.page);
	await page.getByRole('button', { name: 'Run', exact: true }).click();
	await page.getByRole('menuitem', { name: 'Custom run' }).click();
	for (const [label, value] of Object.entries(wanted.parameters))
		await page.getByLabel(label).fill(value);
	await picture('custom-run');
	seen.created = await press(page.getByRole('button', { name: 'Submit' }), '/create_flow_run');
	await page.getByRole('link', { name: 'View run' }).click();
	await page.waitForURL('**/runs/flow-run/*');
	seen.run = new URL(page.url()).pathname.split('/').pop();
}

async function resume() {
	await waitForState('Paused');
	await page.getByRole('tab', { name: 'Details' }).click();
	seen.question = await page.getByRole('tabpanel').innerText();
	await picture('paused');
	const dialog = await openForm();
	// What is really seen: not cut off by the dialog's own edge, nor by the screen's.
	seen.visible = await dialog.getByLabel(/Delete these flow runs/).evaluate((field) => new Promise((resolve) => {
		new IntersectionObserver(([entry]) => resolve(entry.intersectionRatio)).observe(field);
	}));
	seen.form = await dialog.innerText();
	seen.link = await dialog.getByRole('link', { name: /Flows, deployments/ }).evaluate((link) => link.href);
	await picture('form');
	// Who has not decided has not rejected.
	seen.undecided = await press(resumeButton(dialog), '/resume');
	await page.getByText(/required property/).first().waitFor();
	seen.refusal = await page.getByText(/required property/).first().innerText();
	await choose(dialog, true);
	await dialog.getByLabel('Notes').fill(wanted.notes);
	seen.resumed = await press(resumeButton(dialog), '/resume');
	await dialog.waitFor({ state: 'hidden' });
}

async function readResult() {
	await waitForState('Completed');
	await page.getByRole('tab', { name: 'Details' }).click();
	seen.result = await page.getByRole('tabpanel').innerText();
	await page.getByRole('tab', { name: 'Logs' }).click();
	await page.getByText(wanted.notes).first().waitFor();
	await page.getByRole('tab', { name: 'Task Runs' }).click();
	await page.getByRole('tabpanel').getByText('report', { exact: true }).waitFor();
	seen.tasks = await page.getByRole('tabpanel').innerText();
	await picture('completed');
}

async function readPreview() {
	await page.goto(seen.link);
	await page.getByRole('main').locator('table tr').first().waitFor();
	seen.rows = await page.getByRole('main').locator('table tr').allInnerTexts();
	await picture('preview');
	await page.goBack();
}

async function readReport() {
	await page.getByRole('tab', { name: 'Artifacts' }).click();
	await page.getByRole('tabpanel').getByRole('link', { name: 'cleanup-report' }).first().click();
	// The page of the key: one report a run. The latest is the first.
	await page.locator('a[href*="/artifacts/artifact/"]').first().click();
	await page.getByRole('main').getByText(wanted.notes).first().waitFor();
	seen.report = await page.getByRole('main').innerText();
	await picture('report');
}

await play(startCustomRun, resume, readResult, readPreview, readReport);
